"""Each policy across an outage and a clock change, as a table of cases, on every store.

The job fires at 1, 2, 3 and 4 o'clock in Berlin. In the night of the spring 2 o'clock does not exist, and its fire time is
that of 3 o'clock; in the night of the autumn 2 o'clock is there twice, and fires the first time. Times are in UTC: in spring
at 0:00, 1:00 and 2:00, and in autumn at 23:00, 0:00, 2:00 and 3:00. The outage begins half an hour after the first of them
and ends half an hour after the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.nodes import FlakyStore, Node, advance
from tests.samples import HOUR, MINUTE, SECOND, make_backfill, make_job

from tickwork import plan
from tickwork.policies import Overlap, Retry
from tickwork.run import Failed, Lost, Outcome, Run
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.testing import VirtualClock
from tickwork.triggers import CronTrigger

AT_NIGHT = CronTrigger("0 1-4 * * *", timezone="Europe/Berlin")
LEASE = 10 * MINUTE
Deed = Callable[[Store], object]
CANCELLED = Lost("its task was cancelled")
"""What becomes of a coroutine that is asked to end."""


class Night(NamedTuple):
    begins_at: datetime
    """The first fire time."""
    ends_at: datetime
    """The last one."""


SPRING = Night(datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC))
AUTUMN = Night(datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC))


@pytest.fixture
def store(store_url: str | None) -> Iterator[Store]:
    store = make_store(store_url, clock=VirtualClock(SPRING.begins_at - HOUR))
    store.open()
    yield store
    store.close()


# what was missed: misfire_grace_time, coalesce, catch_up


@pytest.mark.parametrize("outage", ["killed", "asleep", "cut off"])
@pytest.mark.parametrize(
    ("policies", "spring", "autumn"),
    [
        pytest.param(
            {}, ["01:00 skipped 02:30", "02:00 succeeded 02:30"], ["00:00-02:00 skipped 03:30", "03:00 succeeded 03:30"],
            id="coalesce",
        ),
        pytest.param(
            {"coalesce": False}, ["01:00 succeeded 02:30", "02:00 succeeded 02:30"],
            ["00:00 succeeded 03:30", "02:00 succeeded 03:30", "03:00 succeeded 03:30"], id="all",
        ),
        pytest.param({"catch_up": 0}, ["01:00-02:00 missed 02:30"], ["00:00-03:00 missed 03:30"], id="none"),
        pytest.param(
            {"catch_up": 2}, ["01:00 succeeded 02:30", "02:00 succeeded 02:30"],
            ["00:00 missed 03:30", "02:00 succeeded 03:30", "03:00 succeeded 03:30"], id="the latest two",
        ),
        pytest.param(
            {"catch_up": 9, "misfire_grace_time": 2 * HOUR}, ["01:00 succeeded 02:30", "02:00 succeeded 02:30"],
            ["00:00 missed 03:30", "02:00 succeeded 03:30", "03:00 succeeded 03:30"], id="up to nine of two hours",
        ),
        pytest.param(
            {"misfire_grace_time": 10 * MINUTE}, ["01:00-02:00 missed 02:30"], ["00:00-03:00 missed 03:30"], id="too late",
        ),
        pytest.param(
            {"misfire_grace_time": 2 * HOUR}, ["01:00 skipped 02:30", "02:00 succeeded 02:30"],
            ["00:00 missed 03:30", "02:00 skipped 03:30", "03:00 succeeded 03:30"], id="some too late, the others one",
        ),
    ],
)  # fmt: skip
def test_what_an_outage_across_a_clock_change_missed(
    store: Store, outage: str, policies: dict[str, Any], spring: list[str], autumn: list[str]
) -> None:
    assert survive(store, SPRING, outage, **policies) == ["00:00 succeeded 00:00", *spring]
    assert survive(store, AUTUMN, outage, **policies) == ["23:00 succeeded 23:00", *autumn]


# what is in the way: overlap, max_instances, timeout, retry, lost runs, pause_after, expire_after

ONE_IS_SKIPPED = ["00:00-02:00 skipped 03:30"]
ALL_ARE_SKIPPED = ["00:00-03:00 skipped 03:30"]
TOO_LONG = 45 * MINUTE


@pytest.mark.parametrize(
    ("outage", "policies", "rows"),
    [
        pytest.param("cut off", {}, ["23:00 succeeded 23:00", *ALL_ARE_SKIPPED], id="skip"),
        pytest.param(
            "cut off", {"overlap": Overlap.QUEUE}, ["23:00 succeeded 23:00", *ONE_IS_SKIPPED, "03:00 running 04:00"],
            id="queue one",
        ),
        pytest.param(
            "cut off", {"overlap": Overlap.QUEUE, "max_waiting": 3, "coalesce": False},
            ["23:00 succeeded 23:00", "00:00 running 04:00", "02:00 pending", "03:00 pending"], id="queue three",
        ),
        pytest.param(
            "cut off", {"overlap": Overlap.CANCEL}, ["23:00 cancelled 23:00", *ONE_IS_SKIPPED, "03:00 running 03:30"],
            id="cancel",
        ),
        pytest.param(
            "cut off", {"max_instances": 2}, ["23:00 succeeded 23:00", *ONE_IS_SKIPPED, "03:00 running 03:30"],
            id="allow two",
        ),
        pytest.param(
            "cut off", {"max_instances": 2, "coalesce": False},
            ["23:00 succeeded 23:00", "00:00 running 03:30", "02:00 running 04:00", "03:00 pending"], id="allow two, all",
        ),
        pytest.param(
            "cut off", {"timeout": TOO_LONG}, ["23:00 timed_out 23:00", *ONE_IS_SKIPPED, "03:00 timed_out 03:30"],
            id="timeout",
        ),
        pytest.param(
            "cut off", {"timeout": TOO_LONG, "retry": Retry(2)},
            ["23:00 timed_out 23:00", "23:00 #2 timed_out 03:30", *ALL_ARE_SKIPPED], id="timeout, tried again",
        ),
        # The new node gives the old one two polls to come back, and decides nothing before.
        pytest.param(
            "killed", {}, ["23:00 lost 23:00", "00:00-02:00 skipped 03:50", "03:00 running 03:50"], id="lost"
        ),
        pytest.param(
            "killed", {"retry": Retry(2)},
            ["23:00 lost 23:00", "23:00 #2 running 03:50", "00:00-03:00 skipped 03:50"], id="lost, tried again",
        ),
        pytest.param("killed", {"pause_after": 1}, ["23:00 lost 23:00"], id="lost, and paused"),
        pytest.param("asleep", {}, ["23:00 succeeded 23:00", *ALL_ARE_SKIPPED], id="asleep"),
    ],
)  # fmt: skip
def test_what_a_run_that_goes_on_across_both_is_in_the_way_of(
    store: Store, outage: str, policies: dict[str, Any], rows: list[str]
) -> None:
    """It began at the first fire time, and goes on for longer than the outage if it may."""
    assert survive(store, AUTUMN, outage, takes=5 * HOUR, **policies) == rows


@pytest.mark.parametrize(
    ("outage", "policies", "rows"),
    [
        pytest.param(
            "killed", {"retry": Retry(2, delay=HOUR)},
            ["23:00 failed 23:00", "23:00 #2 failed 03:30", *ALL_ARE_SKIPPED], id="on another node",
        ),
        pytest.param(
            "cut off", {"retry": Retry(2, delay=HOUR)},
            ["23:00 failed 23:00", "23:00 #2 failed 03:30", *ALL_ARE_SKIPPED], id="on the same",
        ),
        pytest.param(
            "cut off", {"retry": Retry(2, delay=HOUR), "expire_after": MINUTE},
            ["23:00 failed 23:00", "23:00 #2 missed 03:30", *ONE_IS_SKIPPED, "03:00 failed 03:30", "03:00 #2 pending"],
            id="until it waited for too long",
        ),
        pytest.param(
            "cut off", {"pause_after": 2}, ["23:00 failed 23:00", *ONE_IS_SKIPPED, "03:00 failed 03:30"],
            id="not at all, and paused",
        ),
        pytest.param(
            "killed", {"pause_after": 2, "coalesce": False},
            ["23:00 failed 23:00", "00:00 failed 03:30", "02:00 pending", "03:00 pending"], id="not at all, all paused",
        ),
    ],
)  # fmt: skip
def test_what_failed_before_both_is_tried_again_behind_them(
    store: Store, outage: str, policies: dict[str, Any], rows: list[str]
) -> None:
    assert survive(store, AUTUMN, outage, outcome=Failed("no"), **policies) == rows
    assert store.get("job").paused is ("pause_after" in policies)


# what people did: pause, resume, reschedule, retry, backfill

TWICE = CronTrigger("0 2,4 * * *", timezone="Europe/Berlin")


def pause(store: Store) -> None:
    store.save([plan.pause(store.get("job"), store.clock.now(), "no paper", "alice")])


def resume(store: Store) -> None:
    store.save([plan.resume(store.get("job"), store.clock.now(), "bob")])


def reschedule(store: Store) -> None:
    store.save([plan.reschedule(store.get("job"), TWICE, store.clock.now())])


def run_now(store: Store) -> None:
    store.save([plan.run_now(store.get("job"), store.clock.now())])


def retry_the_first(store: Store) -> None:
    first = min(store.runs(job_id="job"), key=lambda run: run.fire_time)
    store.save([plan.retry(store.get("job"), first, None, store.clock.now(), even_if_succeeded=True)])


def backfill(store: Store) -> None:
    job, now = store.get("job"), store.clock.now()
    store.add_backfill(plan.backfill(job, make_backfill(job, AUTUMN.begins_at, AUTUMN.ends_at), now))


@pytest.mark.parametrize("outage", ["killed", "asleep", "cut off"])
@pytest.mark.parametrize(
    ("before", "behind", "rows"),
    [
        pytest.param(pause, resume, ["00:00-03:00 skipped 03:30"], id="paused, and resumed behind both"),
        pytest.param(pause, None, [], id="paused"),
        pytest.param(pause, run_now, ["03:30 succeeded 03:30"], id="paused, and run by hand"),
        pytest.param(
            None, reschedule, ["00:00-03:00 skipped 03:30"], id="rescheduled before what was missed is fired"
        ),
        pytest.param(
            reschedule, None, ["00:00 skipped 03:30", "03:00 succeeded 03:30"], id="rescheduled before"
        ),
        pytest.param(
            None, retry_the_first, ["23:00 #2 succeeded 03:30", *ALL_ARE_SKIPPED], id="the first is tried again",
        ),
        pytest.param(
            pause, lambda store: (resume(store), backfill(store)),
            ["00:00 succeeded 03:30", "00:00-03:00 skipped 03:30", "02:00 succeeded 03:30", "03:00 succeeded 03:30"],
            id="what fell into the pause is run after all",
        ),
    ],
)  # fmt: skip
def test_what_people_do_before_and_behind_both(
    store: Store, outage: str, before: Deed | None, behind: Deed | None, rows: list[str]
) -> None:
    assert survive(store, AUTUMN, outage, before=before, behind=behind) == ["23:00 succeeded 23:00", *rows]


def survive(
    store: Store,
    night: Night,
    outage: str,
    *,
    takes: timedelta = SECOND,
    outcome: Outcome | None = None,
    before: Deed | None = None,
    behind: Deed | None = None,
    **policies: Any,
) -> list[str]:
    """What the ledger has of the job an hour after the outage; *takes* and *outcome* are those of each of its calls, and
    *before* and *behind* is what somebody does to it just then.
    """
    clock = store.clock
    assert isinstance(clock, VirtualClock)
    clock.move_to(night.begins_at - MINUTE)
    store.remove()
    store.add([make_job(trigger=AT_NIGHT, anchored_at=clock.now(), next_fire_time=night.begins_at, **policies)])
    flaky = FlakyStore(store)
    node = Node(flaky, "first", takes=takes, lease=LEASE, poll=LEASE)  # type: ignore[arg-type]
    node.executor.outcome, node.executor.when_asked = outcome, CANCELLED
    advance(clock, 31 * MINUTE, node)
    if before is not None:
        before(store)
    match outage:
        case "killed":
            clock.move_to(night.ends_at + HOUR / 2)
            node = Node(store, "second", takes=takes, lease=LEASE, poll=LEASE)
            node.executor.outcome, node.executor.when_asked = outcome, CANCELLED
        case "cut off":
            flaky.down = "before"
            advance(clock, night.ends_at + HOUR / 2 - clock.now(), node)
            flaky.down = None
        case "asleep":
            clock.move_to(night.ends_at + HOUR / 2)
    if behind is not None:
        behind(store)
    advance(clock, HOUR, node)
    rows = sorted(store.runs(job_id="job", limit=1000), key=lambda run: (run.fire_time, run.attempt, run.origin))
    return [said(run) for run in rows]


def said(run: Run) -> str:
    until = f"-{run.through:%H:%M}" if run.through is not None else ""
    attempt = f" #{run.attempt}" if run.attempt > 1 else ""
    at = run.started_at or run.ended_at
    return f"{run.fire_time:%H:%M}{until}{attempt} {run.state}" + (f" {at:%H:%M}" if at else "")
