"""What nobody should hand over, and somebody does: each is refused at once with one sentence, or bounded; nothing is lost."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.nodes import Node, advance
from tests.samples import NOW, SECOND, make_job

from tickwork import InvalidJobError, Overlap, Retry
from tickwork.codec import MAX_RESULT_LENGTH, read_definition, write_definition
from tickwork.definitions import JOB_DEFAULTS
from tickwork.executors.call import RunContext, invoke
from tickwork.executors.capture import BEGINNING_LENGTH, END_LENGTH
from tickwork.run import Progress, Run, RunState
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.testing import ManualScheduler, VirtualClock

LONGEST_MESSAGE = 1_000
POLICIES = sorted({*JOB_DEFAULTS, "tags", "metadata", "keep", "name", "args", "kwargs"})


class Hostile:
    """It can be neither shown nor compared nor counted."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


WRONG: dict[str, Any] = {
    "hostile": Hostile(), "a hostile class": Hostile, "object": object(), "negative": -1, "very negative": -(10**400),
    "zero": 0, "a fraction": 1.5, "huge": 10**400, "infinite": math.inf, "not a number": math.nan, "true": True,
    "empty text": "", "text": "often", "long text": "x" * 10_000_000, "half a surrogate": "\ud800", "a null": "\0",
    "bytes": b"skip", "empty list": [], "list": [1], "dict": {1: 2}, "hostile list": [Hostile()], "none": None,
    "a negative time": timedelta(-1), "no time": timedelta(0), "the longest time": timedelta.max, "a function": len,
    "a generator": (one for one in "ab"), "Retry": Retry, "Overlap": Overlap,
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("verb", ["add_job", "modify_job", "job_defaults"])
def test_a_policy_is_what_was_written_or_refused_by_name(verb: str, policy: str, wrong: str) -> None:
    """Never a foreign exception, never a message without end, and nothing stored that no other node could read."""
    scheduler = ManualScheduler()
    scheduler.start()
    before = scheduler.add_job("tests.samples:work", "interval", hours=1, id="before")

    refused: InvalidJobError | None = None
    try:
        match verb:
            case "add_job":
                scheduler.add_job("tests.samples:work", "interval", hours=1, id="new", **{policy: WRONG[wrong]})
            case "modify_job":
                scheduler.modify_job("before", **{policy: WRONG[wrong]})
            case _:
                scheduler._definitions._check_defaults({policy: WRONG[wrong]})
    except InvalidJobError as error:
        refused = error

    if refused is not None:
        assert re.match(rf"{policy}|job_defaults: expected {JOB_DEFAULTS[0]}, ", str(refused))
        assert "expected " in str(refused)
        assert len(str(refused)) <= LONGEST_MESSAGE
        assert [*scheduler.get_jobs()] == [before]
    for job in scheduler.get_jobs():
        read_definition(write_definition(job))
    scheduler.shutdown()


# what a job floods


@pytest.fixture
def store(store_url: str | None) -> Iterator[Store]:
    store = make_store(store_url, clock=VirtualClock(NOW))
    store.open()
    yield store
    store.close()


class Ended(NamedTuple):
    """What a node has made of a call."""

    run: Run
    renewals: int
    """How often its row was written while it went on."""
    rings: int


def run_to_its_end(store: Store, deed: Callable[..., object]) -> Ended:
    """Make the job's one call as an executor does, on this thread; seconds pass before and after it."""
    assert isinstance(store.clock, VirtualClock)
    renewed: list[str] = []
    real_renew = store.renew

    def renew(runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        renewed.extend(run.id for run in runs)
        return real_renew(runs, lease_until)

    store.renew = renew  # type: ignore[method-assign]
    store.add([make_job()])
    node = Node(store)
    advance(store.clock, SECOND, node)
    (call,) = node.executor.running
    call.func = deed
    outcome = invoke(call)
    advance(store.clock, SECOND, node)
    node.executor.end(outcome)
    advance(store.clock, SECOND, node)
    return Ended(store.run(call.run.id), len(renewed), node.rings)


def floods_its_progress(run: RunContext) -> None:
    for step in run.track(range(5_000), message="\0 \ud800 step"):
        if step % 100 == 0:
            run.progress(step, 5_000, "x" * 10_000)


def test_a_flood_of_progress_is_written_a_few_times_and_as_it_ended(store: Store) -> None:
    began = time.monotonic()
    run, renewals, rings = run_to_its_end(store, floods_its_progress)
    took = time.monotonic() - began

    assert (run.state, run.progress) == (RunState.SUCCEEDED, Progress(5_000, 5_000, "\0 \\ud800 step"))
    assert renewals <= 3
    assert rings <= 2 * took + 5, "twice a second it leaves the process"


def floods_its_log(run: RunContext) -> str:
    for number in range(5_000):
        run.log.warning("\0 \ud800 %d %s", number, "x" * 200)
    return "y" * (MAX_RESULT_LENGTH + 1)


def test_a_flood_of_lines_and_a_result_that_is_too_large_are_kept_as_far_as_there_is_room(store: Store) -> None:
    run = run_to_its_end(store, floods_its_log).run

    log = store.log(run.id)
    assert (run.state, run.result) == (RunState.SUCCEEDED, None)
    assert (
        run.reason
        == "result: expected at most 16384 characters of JSON, got 16387: keep it elsewhere, and return its name"
    )
    assert len(log.lines) + log.left_out == 5_000
    assert sum(len(line.text) for line in log.lines) <= BEGINNING_LENGTH + END_LENGTH
    assert [line.text[:10] for line in (log.lines[0], log.lines[-1])] == ["\0 \\ud800 0", "\0 \\ud800 4"]


@pytest.mark.parametrize("result", ["hostile", "huge", "infinite", "half a surrogate", "bytes", "hostile list"])
def test_a_run_whose_result_cannot_be_kept_has_succeeded_and_says_so(store: Store, result: str) -> None:
    run = run_to_its_end(store, lambda: WRONG[result]).run

    assert (run.state, run.result) == (RunState.SUCCEEDED, None)
    assert run.reason is not None
    assert re.match(r"result(\[0\])?: expected ", run.reason)
    assert len(run.reason) <= LONGEST_MESSAGE


def fails_with_all_it_has(run: RunContext) -> None:
    raise ValueError("\0 \ud800 " + "x" * 10_000_000)


def test_an_error_without_end_is_a_line_and_the_end_of_its_traceback(store: Store) -> None:
    run = run_to_its_end(store, fails_with_all_it_has).run

    assert run.state is RunState.FAILED
    assert run.reason is not None
    assert run.error is not None
    assert run.reason.startswith("ValueError: ? \\ud800 xxx")
    assert len(run.reason) <= 500
    assert len(run.error) <= 16 * 1024
