"""The laws of executors: this suite is the definition, and whatever passes it is an executor.

An executor joins with a test class that inherits `ExecutorLaws`, or `LawsOfThisProcess` if it makes calls in the
scheduler's own process, and has one fixture, `executor`: one that has room for two calls.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from queue import Empty, Queue
from typing import Any

import pytest
from tests import deeds
from tests.deeds import PATIENCE, Stage
from tests.samples import NOW, held_run, make_job

from tickwork.clock import SystemClock
from tickwork.errors import FunctionReferenceError
from tickwork.executors.around import Around, Leave
from tickwork.executors.base import Executor
from tickwork.executors.call import Call
from tickwork.executors.injection import Surroundings
from tickwork.job import Job
from tickwork.jobstate import StateChange
from tickwork.refs import name_function
from tickwork.run import Cancelled, Failed, Lost, Missed, Outcome, Released, Run, Succeeded
from tickwork.stores.memory import MemoryStore


class Reports:
    """What an executor reports, and that it does so once per call."""

    def __init__(self) -> None:
        self._reports: Queue[tuple[Call, Outcome]] = Queue()

    def __call__(self, call: Call, outcome: Outcome) -> None:
        self._reports.put((call, outcome))

    def next(self) -> tuple[Call, Outcome]:
        return self._reports.get(timeout=PATIENCE)

    def no_more(self) -> bool:
        try:
            self._reports.get_nowait()
        except Empty:
            return True
        return False


def make_call(func: Callable[..., Any], *args: Any, number: int = 0, **kwargs: Any) -> Call:
    job = make_job(func=named(func), args=args, kwargs=kwargs)
    return Call(
        job,
        held_run(job, NOW + number * timedelta(seconds=1), lease_until=None),
        func,
        SystemClock(),
        lambda call: None,
    )


def named(func: Callable[..., Any]) -> str:
    """How a job names it; a function inside of a test has no name, and is for executors of this process."""
    try:
        return name_function(func)
    except FunctionReferenceError:
        return "tests.samples:work"


AROUND: ContextVar[list[str]] = ContextVar("around")


def what_is_around() -> list[str]:
    return AROUND.get([])


async def what_is_around_async() -> list[str]:
    return AROUND.get([])


class ExecutorLaws:
    """What every executor does."""

    @pytest.fixture
    def reports(self) -> Reports:
        return Reports()

    @pytest.fixture
    def started(self, executor: Executor, reports: Reports) -> Iterator[Executor]:
        executor.start(reports)
        yield executor
        executor.stop()

    @pytest.fixture(params=[what_is_around, what_is_around_async])
    def deed(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        """A function and a coroutine that return what they are surrounded by."""
        return request.param  # type: ignore[no-any-return]

    @pytest.fixture
    def make_stage(self) -> Iterator[Callable[[], Stage]]:
        made: list[Stage] = []

        def make_stage() -> Stage:
            made.append(Stage(secrets.token_hex(4)))
            return made[-1]

        yield make_stage
        for stage in made:
            stage.go.set()
            del deeds.STAGES[stage.name]

    def test_a_call_is_made_and_reported(self, started: Executor, reports: Reports) -> None:
        call = make_call(sorted, [3, 1, 2])

        started.submit([call])

        assert reports.next() == (call, Succeeded([1, 2, 3]))
        assert call.started_at is not None
        assert reports.no_more()

    def test_a_result_that_cannot_be_kept_is_told_of(self, started: Executor, reports: Reports) -> None:
        """The call has succeeded all the same."""
        started.submit([make_call(bytes, 3)])

        _, outcome = reports.next()
        assert isinstance(outcome, Succeeded)
        assert outcome.result is None
        assert (outcome.reason or "").startswith("result: expected plain JSON ")

    def test_what_a_call_raises_is_its_outcome(self, started: Executor, reports: Reports) -> None:
        call = make_call(deeds.fail, "no luck")

        started.submit([call])

        reported, outcome = reports.next()
        assert reported is call
        assert isinstance(outcome, Failed)
        assert outcome.reason == "RuntimeError: no luck"

    @pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
    def test_nothing_that_a_call_raises_ends_the_executor(
        self, started: Executor, reports: Reports, error: str
    ) -> None:
        started.submit([make_call(deeds.raise_one, error)])
        _, first = reports.next()
        started.submit([make_call(deeds.nothing)])
        _, second = reports.next()

        assert isinstance(first, Failed)
        assert second == Succeeded()

    def test_nothing_is_put_around_a_call_that_must_not_begin(
        self, started: Executor, reports: Reports, deed: Callable[[], Any]
    ) -> None:
        entered: list[str] = []
        expired, cancelled, believed_lost = (make_call(deed, number=number) for number in range(3))
        expired.run = expired.run._replace(expires_at=NOW)
        cancelled.asked = Cancelled("by someone")
        believed_lost.run = believed_lost.run._replace(lease_until=NOW)
        refused = [expired, cancelled, believed_lost]
        for call in refused:
            call.surroundings = Surroundings()
            call.surroundings.around = (lambda job, run: entered.append(run.id),)

        outcomes = set()
        for call in refused:  # one by one: there is room for two
            started.submit([call])
            outcomes.add(type(reports.next()[1]))

        assert outcomes == {Missed, Lost, Released}
        assert entered == []

    def test_what_is_put_around_a_call_can_hurt_no_run(
        self, started: Executor, reports: Reports, deed: Callable[[], Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        def breaks(*args: Any) -> Any:
            raise SystemExit(3)

        left: list[Outcome] = []
        call = make_call(deed)
        call.surroundings = Surroundings()
        call.surroundings.around = (lambda job, run: left.append, breaks, lambda job, run: breaks)

        started.submit([call])

        assert reports.next() == (call, Succeeded([]))
        assert left == [Succeeded([])]
        assert f"run {call.run.id} of job 'job' goes on without" in caplog.text
        assert f"run {call.run.id} of job 'job' has ended, and" in caplog.text

    def test_calls_run_side_by_side_as_far_as_there_is_room(
        self, started: Executor, reports: Reports, make_stage: Callable[[], Stage]
    ) -> None:
        stages = [make_stage(), make_stage()]
        room = started.free()

        started.submit([make_call(deeds.hold, stage.name) for stage in stages])
        both = all(stage.begun.wait(PATIENCE) for stage in stages)
        full = started.free()
        for stage in stages:
            stage.go.set()
        outcomes = [reports.next()[1] for _ in stages]

        assert room >= 2
        assert both
        assert full == room - 2
        assert outcomes == [Succeeded("went on")] * 2

    def test_room_comes_back_when_a_call_has_been_reported(self, started: Executor, reports: Reports) -> None:
        room = started.free()

        for _ in range(5):
            started.submit([make_call(deeds.nothing)])
            reports.next()

        assert started.free() >= room

    def test_what_has_not_begun_can_be_taken_back_and_is_not_reported(
        self, started: Executor, reports: Reports, make_stage: Callable[[], Stage]
    ) -> None:
        """Whatever was submitted is either taken back, once, or reported, once."""
        stages = [make_stage() for _ in range(2)]
        busy = [make_call(deeds.hold, stage.name) for stage in stages]
        started.submit(busy)
        assert all(stage.begun.wait(PATIENCE) for stage in stages)
        more = [make_call(deeds.nothing, number=number) for number in range(5)]

        started.submit(more)
        taken = [*started.take_back()]
        for stage in stages:
            stage.go.set()
        reported = [reports.next()[0] for _ in range(7 - len(taken))]

        assert {*taken} | {*reported} == {*busy, *more}
        assert [*started.take_back()] == []
        assert reports.no_more()

    def test_a_call_that_is_unknown_cannot_be_cancelled(self, started: Executor) -> None:
        assert started.cancel(make_call(deeds.nothing)) is False

    def test_what_has_begun_goes_on_after_a_stop(
        self, started: Executor, reports: Reports, make_stage: Callable[[], Stage]
    ) -> None:
        stage = make_stage()
        call = make_call(deeds.hold, stage.name)
        started.submit([call])
        assert stage.begun.wait(PATIENCE)

        started.stop()
        stage.go.set()

        assert stage.see() == "went on"

    def test_it_can_be_started_again(self, executor: Executor) -> None:
        for _ in range(3):
            reports = Reports()
            executor.start(reports)
            executor.submit([call := make_call(deeds.nothing)])
            assert reports.next() == (call, Succeeded())
            executor.stop()

    def test_stopping_what_did_nothing_is_nothing(self, executor: Executor, reports: Reports) -> None:
        executor.start(reports)

        executor.stop()

        assert reports.no_more()


class LawsOfThisProcess(ExecutorLaws):
    """What executors do besides that make calls in the scheduler's own process."""

    def test_what_is_put_around_a_call_is_where_the_function_is(
        self, started: Executor, reports: Reports, deed: Callable[[], Any]
    ) -> None:
        seen: list[Any] = []

        def around(name: str) -> Around:
            def enter(job: Job, run: Run) -> Leave:
                seen.append((f"enter {name}", run.id))
                before = AROUND.set([*AROUND.get([]), name])

                def leave(outcome: Outcome) -> None:
                    AROUND.reset(before)
                    seen.append((f"leave {name}", outcome))

                return leave

            return enter

        call = make_call(deed)
        call.surroundings = Surroundings()
        call.surroundings.around = (around("a"), around("b"), lambda job, run: None)

        started.submit([call])
        reported = reports.next()

        assert reported == (call, Succeeded(["a", "b"]))
        assert seen == [
            ("enter a", call.run.id), ("enter b", call.run.id), ("leave b", reported[1]), ("leave a", reported[1]),
        ]  # fmt: skip

    @pytest.mark.parametrize("deed", [deeds.tell_and_keep, deeds.tell_and_keep_async])
    def test_what_a_call_logs_and_makes_of_its_state_is_kept_with_it(
        self, started: Executor, reports: Reports, deed: Callable[..., Any]
    ) -> None:
        calls = [make_call(deed, f"call {number}", number=number) for number in range(2)]
        for call in calls:
            call.surroundings = Surroundings(records=MemoryStore())

        started.submit(calls)

        assert {reports.next()[1] for _ in calls} == {Succeeded()}
        for number, call in enumerate(calls):
            log, change = call.kept.log_so_far(), call.kept.change
            assert [line.text for line in log.lines] == 2 * [f"call {number}"]
            assert change == StateChange(call.job.uid, {"said": 0}, {"said": f"call {number}"})
