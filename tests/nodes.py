"""Nodes for tests: the production loop driven by hand, with an executor whose calls end when they are told to.

a, b = Node(store, "a"), Node(store, "b", takes=5 * SECOND)
advance(clock, MINUTE, a, b)             # both tick whenever they asked to, and a minute passes
assert [call.run.fire_time for call in a.executor.started] == ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from tests.samples import make_node

from tickwork.errors import StoreUnavailableError
from tickwork.events import Event
from tickwork.executors.base import Report
from tickwork.executors.call import Call
from tickwork.executors.injection import Surroundings
from tickwork.loop import Loop
from tickwork.run import Outcome, Succeeded
from tickwork.stores.base import Store
from tickwork.testing import VirtualClock
from tickwork.timing import Timing

MAX_TICKS_AT_ONE_INSTANT = 1_000
Kind = TypeVar("Kind")


class FakeExecutor:
    """Begins up to *room* calls and ends each after *takes*; None: when the test says so.

    With *stuck* it accepts calls and begins none.
    """

    def __init__(
        self, clock: VirtualClock, *, room: int = 1_000, takes: timedelta | None = None, stuck: bool = False
    ) -> None:
        self.clock = clock
        self.room = room
        self.takes = takes
        self.stuck = stuck
        self.outcome: Outcome | None = None
        """What comes of each call that is not ended by hand. None: it succeeds."""
        self.when_asked: Outcome | None = None
        """What comes of a call that is asked to end. None: it goes on."""
        self.started: list[Call] = []
        self.waiting: list[Call] = []
        self.running: list[Call] = []
        self.cancelled: list[Call] = []
        self.stopped = False

    def start(self, report: Report) -> None:
        self._report = report

    def free(self) -> int:
        return self.room - len(self.waiting) - len(self.running)

    def submit(self, calls: Sequence[Call]) -> None:
        assert len(calls) <= self.free(), f"expected at most {self.free()} calls, got {len(calls)}"
        if self.stuck:
            self.waiting.extend(calls)
            return
        for call in calls:
            call.started_at = self.clock.now()
            self.started.append(call)
            self.running.append(call)

    def take_back(self) -> Sequence[Call]:
        taken, self.waiting = self.waiting, []
        return taken

    def cancel(self, call: Call) -> bool:
        self.cancelled.append(call)
        if self.when_asked is not None:
            self.end(self.when_asked, call=call)
        return True

    def stop(self) -> None:
        self.stopped = True

    def end(self, outcome: Outcome | None = None, *, call: Call | None = None) -> None:
        """End *call*, or the one that runs for longest."""
        ending = self.running[0] if call is None else call
        self.running.remove(ending)
        self._report(ending, Succeeded() if outcome is None else outcome)

    def end_those_due(self) -> None:
        while (end_at := self.next_end()) is not None and end_at <= self.clock.now():
            self.end(self.outcome)

    def next_end(self) -> datetime | None:
        if self.takes is None or not self.running:
            return None
        started_at = self.running[0].started_at
        assert started_at is not None
        return started_at + self.takes


class Record:
    """Listeners that only write down what they are told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __bool__(self) -> bool:
        return True

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]


class Node:
    """A process as the store sees it. It lives as long as it is ticked; one that is not ticked is frozen."""

    def __init__(
        self, store: Store, name: str = "a", *, room: int = 1_000, takes: timedelta | None = None, stuck: bool = False,
        **timing: Any,
    ) -> None:  # fmt: skip
        clock = store.clock
        assert isinstance(clock, VirtualClock)
        self.name = name
        self.rings = 0
        self.executor = FakeExecutor(clock, room=room, takes=takes, stuck=stuck)
        self.record = Record()
        self.loop = Loop(
            store, {"threads": self.executor}, node=make_node(name, clock.now()), timing=Timing(**timing),
            listeners=self.record, wake=self._rung,  # type: ignore[arg-type]
            surroundings=Surroundings(records=store),
        )  # fmt: skip
        self.executor.start(self.loop.report)

    def tick(self) -> datetime:
        """One tick; when this node wants the next one."""
        self.executor.end_those_due()
        look_at = self.loop.tick()
        end_at = self.executor.next_end()
        return look_at if end_at is None else min(look_at, end_at)

    def fire_times(self) -> list[datetime]:
        """What this node has started, in that order."""
        return [call.run.fire_time for call in self.executor.started]

    def _rung(self) -> None:
        self.rings += 1


def advance(clock: VirtualClock, duration: timedelta, *nodes: Node) -> None:
    """Move the clock by *duration* from one instant at which a node wants to tick to the next."""
    until = clock.now() + duration
    ticks = 0
    while True:
        look_at = min(node.tick() for node in nodes)
        if look_at > until:
            break
        ticks = ticks + 1 if look_at <= clock.now() else 0
        assert ticks < MAX_TICKS_AT_ONE_INSTANT, f"expected time to move on, got {ticks} ticks at {clock.now()}"
        clock.move_to(max(look_at, clock.now()))
    clock.move_to(until)


class FlakyStore:
    """A store that cannot be reached while it is `down`: "before" a call has its effect, or "after" it, when only the reply is lost."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down: Literal["before", "after"] | None = None
        self.verbs: frozenset[str] = frozenset()
        """Those that fail. Empty: all."""
        self.between: Callable[[str], None] = lambda verb: None
        """Called after the effect of each verb and before its reply."""

    @contextmanager
    def together(self) -> Iterator[object]:
        """A transaction whose "commit" may fail, too: it is undone before it, and stands after it."""
        with self._calling("together", self._store.together)() as shared:
            yield shared
            self._fail("commit", "before")
        self._fail("commit", "after")

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        return self._calling(name, verb) if callable(verb) and name != "clock" else verb

    def _calling(self, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._fail(name, "before")
            reply = verb(*args, **kwargs)
            self.between(name)
            self._fail(name, "after")
            return reply

        return call

    def _fail(self, name: str, when: Literal["before", "after"]) -> None:
        if self.down == when and (not self.verbs or name in self.verbs):
            lost = f"{name} does not get through" if when == "before" else f"the reply of {name} is lost"
            raise StoreUnavailableError(lost)
