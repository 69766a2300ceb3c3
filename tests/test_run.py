"""Runs: where they may move, and how they are named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from tests.samples import NOW, SECOND, make_job, make_run, runs_of

from tickwork.errors import RunNotFoundError
from tickwork.run import TRANSITIONS, Origin, Run, RunKey, RunState


def test_the_transitions_are_a_table_of_all_states() -> None:
    assert TRANSITIONS.keys() == set(RunState)
    assert {state for state in RunState if not state.closed} == {RunState.PENDING, RunState.RUNNING}
    never_begun = {RunState.CANCELLED, RunState.SKIPPED, RunState.MISSED}
    assert TRANSITIONS[RunState.PENDING] == {RunState.RUNNING} | never_begun, "what waits is begun, or never"


@given(runs_of(make_job()))
def test_the_id_of_a_run_says_which_it_is(run: Run) -> None:
    assert RunKey.parse(run.id) == RunKey(run.job_uid, run.fire_time, run.origin, run.attempt)


@pytest.mark.parametrize(
    "text",
    ["", "-", "--", "a-b-c", "1-2", "1--1", "1-1-0", "1-1--1", "x-1-1", "1-1x-1", "1-1m-", "-1-1-1", "1-1-99999999999999",
     f"{2**63:x}-1-1", f"1-{10**30}-1", "1-1-" + "9" * 5000],
)  # fmt: skip
def test_what_cannot_be_the_id_of_a_run_names_none(text: str) -> None:
    with pytest.raises(RunNotFoundError):
        RunKey.parse(text)


def test_attempts_share_a_key_and_manual_runs_do_not() -> None:
    job = make_job()

    first, second, manual = make_run(job), make_run(job, attempt=2), make_run(job, origin=Origin.MANUAL)

    assert first.key == second.key != manual.key
    assert len({run.id for run in (first, second, manual)}) == 3


def test_lateness_and_duration_are_known_when_they_are() -> None:
    run = make_run(make_job())

    started = run._replace(started_at=NOW + SECOND)
    ended = started._replace(ended_at=NOW + 3 * SECOND)

    assert (run.lateness, run.duration) == (None, None)
    assert (started.lateness, started.duration) == (SECOND, None)
    assert (ended.lateness, ended.duration) == (SECOND, timedelta(seconds=2))


def test_no_run_takes_less_than_no_time_although_the_clock_was_set_back_meanwhile() -> None:
    """A histogram cannot count what is below zero."""
    run = make_run(make_job())._replace(started_at=NOW, ended_at=NOW - timedelta(hours=1))

    assert run.duration == timedelta(0)
