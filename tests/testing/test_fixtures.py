"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

CONFTEST = 'pytest_plugins = ["tickwork.testing.fixtures"]'

APP = """
from datetime import timedelta
from tickwork import BackgroundScheduler

scheduler = BackgroundScheduler("sqlite:///jobs.db", timezone="Asia/Seoul")

@scheduler.scheduled_job("cron", hour=3, id="nightly")
async def nightly():
    return "done"
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(shop=APP)
    pytester.syspathinsert()
    return pytester


def test_a_clock_and_a_scheduler_that_begin_where_the_marker_says(project: pytest.Pytester) -> None:
    project.makepyfile("""
        from datetime import UTC, datetime, timedelta
        import pytest

        def work():
            pass

        def test_usual(tickwork_scheduler, tickwork_clock):
            assert tickwork_scheduler.running
            assert tickwork_scheduler.clock is tickwork_clock
            assert tickwork_clock.now() == datetime(2026, 1, 1, tzinfo=UTC)

        @pytest.mark.tickwork(start="2026-03-29 03:00", timezone="Asia/Seoul")
        def test_marked(tickwork_scheduler):
            assert tickwork_scheduler.clock.now() == datetime(2026, 3, 28, 18, tzinfo=UTC)
            tickwork_scheduler.add_job(work, "cron", hour=4, id="early")
            tickwork_scheduler.advance_to("2026-03-29 04:00")
            tickwork_scheduler.assert_ran("early", at="2026-03-29 04:00", times=1)

        @pytest.mark.tickwork(start=datetime(2026, 3, 29))
        class TestClass:
            def test_marked(self, tickwork_clock):
                assert tickwork_clock.now() == datetime(2026, 3, 29, tzinfo=UTC)
    """)

    project.runpytest("--strict-markers", "-W", "error").assert_outcomes(passed=3)


def test_a_scheduler_is_shut_down_after_the_test_and_another_begins(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest
        seen = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_first(tickwork_scheduler, number):
            assert tickwork_scheduler.get_jobs() == []
            tickwork_scheduler.add_job(print, "interval", hours=1, id="job")
            assert all(not one.running for one in seen)
            seen.append(tickwork_scheduler)

        def test_last():
            assert [one.running for one in seen] == [False, False]
    """)

    project.runpytest("-W", "error").assert_outcomes(passed=3)


def test_an_apps_own_schedule_is_rehearsed(project: pytest.Pytester) -> None:
    project.makepyfile("""
        from datetime import timedelta
        from pathlib import Path
        import shop

        def test_a_month(tickwork_rehearsal):
            rehearsal = tickwork_rehearsal(shop.scheduler)
            rehearsal.advance(timedelta(days=31))
            rehearsal.assert_ran("nightly", times=31)
            assert not Path("jobs.db").exists()
    """)

    project.runpytest("-W", "error").assert_outcomes(passed=1)


def test_an_expectation_that_fails_shows_the_test_and_the_reason_alone(project: pytest.Pytester) -> None:
    project.makepyfile("""
        def test_it(tickwork_scheduler):
            tickwork_scheduler.add_job(print, "interval", hours=1, id="job")
            tickwork_scheduler.assert_ran("job")
    """)

    result = project.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        '>       tickwork_scheduler.assert_ran("job")',
        "E       AssertionError: expected 'job' to have run by 2026-01-01 00:00 UTC, got 0",
    ])  # fmt: skip
    assert "def assert_ran" not in result.stdout.str()


@pytest.mark.parametrize("mark", ['"2026-03-01"', 'begin="2026-03-01"'])
def test_a_marker_that_says_something_else_is_refused(project: pytest.Pytester, mark: str) -> None:
    project.makepyfile(f"""
        import pytest

        @pytest.mark.tickwork({mark})
        def test_it(tickwork_scheduler): ...
    """)

    result = project.runpytest()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.tickwork: expected start= and timezone= at most, got *"])


def test_without_the_line_in_conftest_pytest_loads_nothing_of_tickwork(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_it():
            assert not any(name.partition(".")[0] == "tickwork" for name in sys.modules)
    """)

    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_testing_kit_itself_needs_no_pytest() -> None:
    program = "import sys; sys.modules['pytest'] = None; import tickwork.testing"

    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
