"""Listeners are told in order, and break nothing."""

from __future__ import annotations

import logging
import threading

import pytest
from tests.deeds import PATIENCE
from tests.samples import make_job

from tickwork import events
from tickwork.events import KINDS, Event, JobAdded, JobRemoved, Listeners, SchedulerStarted


def test_listeners_hear_what_they_asked_for_in_order() -> None:
    listeners = Listeners()
    all_heard: list[Event] = []
    some_heard: list[Event] = []
    done = threading.Event()
    listeners.add(all_heard.append)
    listeners.add(some_heard.append, JobAdded)
    listeners.add(lambda event: done.set(), JobRemoved)
    told = [SchedulerStarted("a"), JobAdded(make_job()), JobRemoved(make_job())]

    for event in told:
        listeners.tell(event)

    assert done.wait(PATIENCE)
    assert all_heard == told
    assert some_heard == told[1:2]


@pytest.mark.parametrize(
    "error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
def test_a_listener_that_raises_is_logged_and_keeps_nobody_from_hearing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = Listeners()
    heard: list[Event] = []
    done = threading.Event()

    def broken(event: Event) -> None:
        raise error

    listeners.add(broken)
    listeners.add(heard.append)
    listeners.add(lambda event: done.set(), JobRemoved)

    listeners.tell(SchedulerStarted("a"))
    listeners.tell(JobRemoved(make_job()))

    assert done.wait(PATIENCE)
    assert len(heard) == 2
    assert "raised on SchedulerStarted" in caplog.text


def test_without_listeners_nothing_is_kept() -> None:
    listeners = Listeners()

    listeners.tell(SchedulerStarted("a"))

    assert not listeners
    assert listeners._thread is None
    assert listeners._queue.empty()


def test_events_for_listeners_that_are_too_slow_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "MAX_WAITING", 2)
    listeners = Listeners()
    entered, go = threading.Event(), threading.Event()

    def slow(event: Event) -> None:
        entered.set()
        go.wait(PATIENCE)

    listeners.add(slow)
    listeners.tell(SchedulerStarted("a"))
    assert entered.wait(PATIENCE)

    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            listeners.tell(SchedulerStarted("a"))

    go.set()
    assert [record.getMessage() for record in caplog.records] == [
        f"listeners are too slow: {dropped} events were dropped" for dropped in (1, 2, 4)
    ]


def test_a_listener_knows_that_it_is_one() -> None:
    listeners = Listeners()
    told: list[bool] = []
    done = threading.Event()
    listeners.add(lambda event: (told.append(listeners.called_from()), done.set()))

    listeners.tell(SchedulerStarted("a"))

    assert done.wait(PATIENCE)
    assert told == [True]
    assert not listeners.called_from()


def test_every_event_can_be_asked_for() -> None:
    classes = {
        value for value in vars(events).values()
        if isinstance(value, type) and value.__module__ == events.__name__ and value is not Listeners
    }  # fmt: skip

    assert classes == set(KINDS)
