"""What is counted, and that the names of it are few."""

from __future__ import annotations

import pytest
from tests.samples import NOW, make_job, make_run

from tickwork.events import Event, JobFired, RunSettled, RunStarted
from tickwork.measures import ONE_OFF, OTHER, JobNames, Names, closed_runs, error_type
from tickwork.run import RunState

PENDING = make_run(make_job())
CLOSED = PENDING._replace(state=RunState.SKIPPED)


@pytest.mark.parametrize(
    ("event", "runs"),
    [
        (RunSettled(CLOSED, NOW), [CLOSED]),
        (RunSettled(PENDING, NOW), []),
        (JobFired(make_job(), (PENDING, CLOSED), NOW), [CLOSED]),
        (RunStarted(PENDING, NOW), []),
    ],
)
def test_a_run_is_counted_when_it_is_closed(event: Event, runs: list[object]) -> None:
    assert [*closed_runs(event)] == runs


@pytest.mark.parametrize(
    ("state", "reason", "error"),
    [
        (RunState.SUCCEEDED, None, None),
        (RunState.SKIPPED, "paused", None),
        (RunState.CANCELLED, "not today", None),
        (RunState.MISSED, "too late", "missed"),
        (RunState.LOST, "it died", "lost"),
        (RunState.TIMED_OUT, "too long", "timed_out"),
        (RunState.FAILED, "ValueError: 7 is too much", "ValueError"),
        (RunState.FAILED, "KeyError", "KeyError"),
        (RunState.FAILED, "its outcome could not be written: OSError", OTHER),
        (RunState.FAILED, "", OTHER),
        (RunState.FAILED, None, OTHER),
    ],
)
def test_an_error_has_a_type_that_is_one_of_few(state: RunState, reason: str | None, error: str | None) -> None:
    assert error_type(PENDING._replace(state=state, reason=reason)) == error


def test_names_beyond_the_limit_are_one() -> None:
    names = Names(2)

    assert [names.of(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_made_up_ids_take_no_name_from_others() -> None:
    names = JobNames(1)

    assert [names.of(name) for name in ("0123456789abcdef", "job", "other")] == [ONE_OFF, "job", OTHER]
