"""A process's way to the store: the real one, at which threads park before and after each call, and replies are lost.

Before: what it asks for has not happened yet. After: it has, and the process does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tickwork.errors import StoreUnavailableError
from tickwork.run import RunState

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.turns import Actor
    from tests.simulation.world import World

READS = frozenset({
    "get", "jobs", "lost", "expired", "cancelling", "outlook", "expectations", "undeclared", "nodes", "census", "run",
    "state", "log", "runs", "backfill", "backfills", "evidence", "hold_lifeline", "cut_lifelines",
})  # fmt: skip
TELLING = frozenset({"fire", "claim", "renew", "settle", "commit"})
"""Whoever is not told of these believes something that is not so."""
PATIENCE = 5_000_000
"""Microseconds that a writer waits for the one before it."""
SAID_TO_OTHERS = frozenset({"add", "save", "remove", "cancel", "add_backfill", "end_backfill"})
"""Verbs that ring the bells of other nodes, if hints reach them."""


class Line:
    """What a scheduler takes for its store."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._store = world.store_for(process)
        self.clock = self.wall_clock = process.clock
        self.location = self._store.location
        self.ring: Callable[[], None] | None = None
        self._is_open = False
        self._together: set[Actor] = set()
        self._closing: set[Actor] = set()
        """Those whose commit closes runs that were not called here: two may close one at the same instant."""

    def open(self, ring: Callable[[], None] | None = None) -> None:
        self.ring = ring or self.ring
        if self._is_open:
            return
        transactions, actor = self._world.transactions, self._world.turns.current
        if transactions is None:
            self._store.open()
        else:
            transactions.enter(actor)
            try:
                self._store.open()
            finally:
                transactions.leave(actor)
        self._is_open = True

    def close(self) -> None:
        self._is_open = False
        self._world.close(self._store)

    def exists(self) -> bool:
        return self._store.exists()

    @contextmanager
    def together(self) -> Iterator[None]:
        """A commit, where the store has some: what fails inside is undone. Otherwise each verb stands alone."""
        world, actor = self._world, self._world.turns.current
        world.turns.park()
        if world.transactions is None:
            yield
            world.turns.park()
            return
        self._together.add(actor)
        self._closing.discard(actor)
        try:
            with self._store.together():
                yield
                world.turns.park()
                self._fail_on_the_way("commit", matters=actor in self._closing)
            world.transactions.commit()
        finally:
            self._together.discard(actor)
            world.transactions.leave(actor)
        self._meet_its_doom("commit")
        world.turns.park()
        self._lose_reply("commit")

    def __getattr__(self, verb: str) -> Any:
        real = getattr(self._store, verb)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call(verb, real, args, kwargs)

        setattr(self, verb, call)
        return call

    def _call(self, verb: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        world, actor = self._world, self._world.turns.current
        world.turns.park()
        part_of_more = actor in self._together
        if world.transactions is not None and verb not in READS:
            world.transactions.enter(actor)
        try:
            self._fail_on_the_way(verb)
            reply = real(*args, **kwargs)
            if verb == "cancelling":  # in the order of a set, where it does not matter
                reply = sorted(reply, key=lambda run: run.id)
            world.note(self._process, verb, args, reply)
            if _closes_for_others(verb, reply):
                self._closing.add(actor)
            if world.transactions is not None and not part_of_more:
                world.transactions.commit()
        finally:
            if world.transactions is not None and not part_of_more:
                world.transactions.leave(actor)
        if not part_of_more:
            self._meet_its_doom(verb)
        world.turns.park()
        if not part_of_more:
            self._lose_reply(verb)
        if verb in SAID_TO_OTHERS:
            world.hint(self._process)
        return reply

    def _fail_on_the_way(self, verb: str, *, matters: bool = False) -> None:
        world = self._world
        if self._process.cut_off or world.outage:
            timeout = world.draw_timeout()
            if world.turns.current is self._process.driver:
                self._process.is_impaired_for(timedelta(seconds=timeout))  # its call hangs on if all is well before
            world.sleep(timeout)
            if world.turns.current is self._process.driver:
                self._process.out_of_reach_at = world.true
            raise StoreUnavailableError(f"{verb} does not get through")
        if world.request_is_lost(matters=matters):
            raise StoreUnavailableError(f"{verb} is lost on its way")

    def _meet_its_doom(self, verb: str) -> None:
        doom = self._process.doom
        if doom is not None and verb in TELLING:
            self._process.doom = None
            doom(self._process)

    def _lose_reply(self, verb: str) -> None:
        world = self._world
        if self._process.cut_off or world.outage or world.reply_is_lost():
            world.tell(self._process.name, "is not told", verb)
            raise StoreUnavailableError(f"the reply of {verb} is lost")


def _closes_for_others(verb: str, reply: Any) -> bool:
    """Whether this has closed runs that nobody called."""
    if verb == "settle":
        return any(settlement.run.state is RunState.LOST for settlement in reply)
    return verb == "cancel" and bool(reply)


class Transactions:
    """One writer at a time. What it has written is noted when it is committed, and not if it is undone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._writer: Actor | None = None
        self._waiting: list[Actor] = []
        self._written: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        return self._writer is self._world.turns.current

    def enter(self, actor: Actor) -> None:
        """Wait for the lock; StoreUnavailableError if its holder keeps it."""
        until = self._world.true + PATIENCE
        while self._writer not in (None, actor):
            if self._world.true >= until:
                raise StoreUnavailableError("no turn")
            self._waiting.append(actor)
            self._world.sleep((until - self._world.true) / 1e6)
        self._writer = actor

    def note(self, act: Callable[[], None]) -> None:
        self._written.append(act)

    def commit(self) -> None:
        """What the current thread has written, if anything, is there now."""
        if not self.is_open:
            return
        written, self._written = self._written, []
        for act in written:
            act()

    def leave(self, actor: Actor) -> None:
        """Let the next one in; what was not committed is forgotten."""
        if self._writer is actor:
            self._writer = None
            self._written = []
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.ready = True
