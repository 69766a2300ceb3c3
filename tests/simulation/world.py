"""The world of one seed: its time, its processes, and what its chance has in store for them.

The rule: all chance comes from one seed, and nothing waits for the real world. Time goes on where threads park.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from tests.simulation.line import Transactions
from tests.simulation.oracle import Oracle
from tests.simulation.people import draw_job
from tests.simulation.processes import FAILURES, MILLISECOND, QUICK, SUCCESS, Fate, Process
from tests.simulation.troubles import Troubles
from tests.simulation.turns import Actor, Turns
from tests.simulation.weather import Weather, draw_weather

from tickwork import definitions as definitions_module
from tickwork import scheduler as scheduler_module
from tickwork.clock import to_micros
from tickwork.executors.call import Call
from tickwork.stores.memory import MemoryStore
from tickwork.stores.sqlite import SQLiteStore

MAX_STEPS = 60_000
"""How often threads may park at one seed: more means that something goes round and round."""
QUIET = 6.0
"""Seconds that the world goes on after all is well again, besides what leases and clocks take."""
NEVER = 2**62


class World:
    """One seed from beginning to end. It is its own store's clock."""

    def __init__(self, seed: int, folder: Path | None = None, store: str | None = None) -> None:
        self.rng = Random(f"tickwork {seed}")
        self.weather: Weather = draw_weather(seed, self.rng, store)
        self.true = 0
        """Microseconds since the beginning. It goes on evenly, whatever clocks are set to."""
        self.offset = 0
        """How much the machine's clock was set forward, in microseconds."""
        self.wall = self.weather.begin
        """What the store's clock tells."""
        self.latest = self.wall
        """The latest that it has told: it may have been set back."""
        self.heals_at = int(self.weather.chaos * 1e6)
        self.healed = False
        self.ends_at = NEVER
        self.calm_from = NEVER
        """From when on, in true time, whatever was wrong has had the time that it may take."""
        self.outage = False
        self.history: list[tuple[int, str, str, Any]] = []
        self.oracle = Oracle(self)
        self.turns = Turns(self._choose)
        self.processes: list[Process] = []
        self.transactions = Transactions(self) if self.weather.store == "sqlite" else None
        self._folder = folder
        self._memory = MemoryStore(clock=self)
        self._troubles = Troubles(self)
        self._coming: list[tuple[int, int, Callable[[], None]]] = []
        self._steps = 0
        self._counted = 0
        self._booted = 0
        self._uids = 0

    def now(self) -> datetime:
        return self.wall

    def live(self) -> list[str]:
        """Let it go on to its end; return what the oracle found wrong."""
        with ExitStack() as stack:
            stack.enter_context(_seeded(self.rng))
            stack.enter_context(_watched_log(self.oracle))
            self._begin()
            self.turns.park()
            if not self.oracle.faults:
                self.oracle.judge(self._rows())
            self.turns.end()
            for process in self.processes:
                if process.scheduler is not None:
                    atexit.unregister(process.scheduler._leave)
                process.line.close()
        return self.oracle.faults

    def digest(self) -> str:
        """The same for the same history."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()

    def lines(self) -> Iterator[str]:
        yield str(self.weather)
        for true, who, what, about in self.history:
            yield f"{true / 1e6:11.6f} {who:>8} {what} {_said(about)}".rstrip()

    # time, as threads see it

    def sleep(self, seconds: float) -> None:
        """The current thread waits so long in true time, or until somebody makes it ready."""
        actor = self.turns.current
        actor.ready = False
        actor.waits += 1
        meant = actor.waits

        def wake() -> None:
            if actor.waits == meant:
                actor.ready = True

        self.at(self.true + max(1, int(seconds * 1e6)), wake)
        self.turns.park()
        actor.waits += 1

    def next_uid(self) -> int:
        self._uids += 1
        return self._uids

    def later(self, wait: timedelta, act: Callable[[], None]) -> None:
        self.at(self.true + max(1, wait // timedelta(microseconds=1)), act)

    def at(self, true: int, act: Callable[[], None]) -> None:
        self._counted += 1
        heappush(self._coming, (true, self._counted, act))

    def _choose(self) -> Actor:
        """Who goes on: by the seed, one of those that can; while none can, time goes on."""
        while True:
            if self.oracle.faults or self.turns.crashes or self.true >= self.ends_at:
                for crash in self.turns.crashes:
                    self.oracle.fault(f"a thread died of {type(crash).__name__}: {crash}")
                return self.turns.main
            able = [actor for actor in self.turns.actors if actor.can_go_on]
            if able:
                current = self.turns.current
                if current in able and self.rng.random() >= self.weather.restless:
                    return current
                if self.rng.random() >= self.weather.drift:
                    self._steps += 1
                    if self._steps > MAX_STEPS:
                        self.oracle.fault(f"time does not go on: {MAX_STEPS} steps")
                    return able[int(self.rng.random() * len(able))]
                self._go_on_to(self.true + int(self.rng.expovariate(1 / 4000)))
            else:
                self._go_on_to(self._coming[0][0])

    def _go_on_to(self, true: int) -> None:
        coming = self._coming
        while coming and coming[0][0] <= true:
            at, _, act = heappop(coming)
            self._set_time(max(at, self.true))
            act()
        self._set_time(max(true, self.true))

    def _set_time(self, true: int) -> None:
        self.true = true
        self.wall = self.weather.begin + timedelta(microseconds=true + self.offset)
        self.latest = max(self.latest, self.wall)

    # what lines and executors ask

    def store_for(self, process: Process) -> Any:
        if self.transactions is None:
            return self._memory
        assert self._folder is not None
        return SQLiteStore(self._folder / "jobs.db", clock=self)

    def note(self, process: Process, verb: str, args: Sequence[Any], reply: Any) -> None:
        """The store has done what it was asked for; or will have, when it is committed."""
        wall, actor = self.wall, self.turns.current

        def note() -> None:
            self.oracle.done(process, actor, verb, args, reply, wall)

        if self.transactions is None or not self.transactions.is_open:
            note()
        else:
            self.transactions.note(note)

    def tell(self, who: str, what: str, about: Any = "") -> None:
        self.history.append((self.true, who, what, about))

    def request_is_lost(self, *, matters: bool) -> bool:
        return not self.healed and self.weather.has("lost request") and self.rng.random() < (0.25 if matters else 0.01)

    def reply_is_lost(self) -> bool:
        return not self.healed and self.weather.has("lost reply") and self.rng.random() < 0.02

    def draw_timeout(self) -> float:
        return self.rng.choice([0.001, 0.001, 0.5, 2.0])

    def draw_fate(self) -> Fate:
        if self.healed:
            return QUICK
        rng, weather = self.rng, self.weather
        longest = 2 * weather.lease.total_seconds() if weather.has("slow") else 1.5
        takes = timedelta(seconds=rng.choice([0.0, 0.01, 0.2, longest * rng.random()]))
        if weather.has("hanging") and rng.random() < 0.15:
            takes = timedelta(seconds=1000)
        fails = weather.has("failing") and rng.random() < 0.5
        return Fate(takes, rng.choice(FAILURES) if fails else SUCCESS, rng.random() < 0.7, rng.random() < 0.1)

    def hint(self, writer: Process) -> None:
        for process in self.processes:
            ring = process.line.ring
            if ring is not None and process is not writer and process.alive and self.rng.random() < self.weather.hints:
                self.later(MILLISECOND, ring)

    # from the beginning to the end

    def _begin(self) -> None:
        if self.transactions is not None:
            first = self.store_for(None)  # type: ignore[arg-type]
            first.open()
            first.close()
        for _ in range(self.weather.nodes):
            self.boot()
        setter = self.processes[0]
        jobs = [draw_job(self, f"job-{number}") for number in range(self.weather.jobs)]
        store = setter.line._store
        store.open()
        store.add(jobs)
        self.oracle.done(setter, self.turns.main, "add", (jobs,), None, self.wall)
        self._troubles.begin()
        self.at(self.heals_at, self._heal)

    def boot(self) -> None:
        """A process starts; once all is well only if there is no other."""
        if self.healed and any(process.alive and not process.is_to_stop for process in self.processes):
            return
        room = self.rng.choice([1, 2]) if self.weather.has("full") else self.rng.choice([3, 20])
        self._booted += 1
        process = Process(self, f"node-{self._booted}", room=20 if self.healed else room)
        self.processes.append(process)
        self.tell(process.name, "starts")

    def _heal(self) -> None:
        """From now on all is well. Give it the time that leases and clocks need, and a while in which all is punctual."""
        self.tell("world", "heals")
        self.healed = True
        self.outage = False
        for process in [*self.processes]:
            if process.alive:
                process.reconnect()
                process.clock.error = timedelta(0)
                process.go_on()
                process.handlers.room = max(20, process.handlers.room)
                process.handlers.begin_waiting()
                process.handlers.end_hanging()
        self.boot()
        settling = self.weather.lease + 4 * self.weather.poll + self.oracle.time_to_make_up()
        self.calm_from = self.true + settling // timedelta(microseconds=1)
        self.ends_at = self.calm_from + int(QUIET * 1e6)
        self.at(self.ends_at, lambda: self.tell("world", "ends"))

    def find_store(self) -> None:
        self.outage = False

    def set_clock(self, by: timedelta) -> None:
        """The clock of the machine, which is the store's."""
        self.offset += by // timedelta(microseconds=1)
        self._set_time(self.true)

    def close(self, store: Any) -> None:
        if store is not self._memory:
            store.close()

    def _rows(self) -> Sequence[Any]:
        """The ledger as it is, read past everything that is simulated."""
        store: Any = self.store_for(None)  # type: ignore[arg-type]
        try:
            return store.runs(limit=1_000_000)
        finally:
            self.close(store)


def _said(about: Any) -> str:
    return about if isinstance(about, str) else about() if callable(about) else str(about)


@contextmanager
def _seeded(rng: Random) -> Iterator[None]:
    """Names that production draws at random are drawn from the seed; and sets of calls have an order of their own."""

    class Names:
        def token_hex(self, size: int) -> str:
            return rng.randbytes(size).hex()

    names = Names()

    def number(call: Call) -> int:
        run = call.run
        return hash((run.job_uid, to_micros(run.fire_time), run.attempt))

    with (
        patch.object(scheduler_module, "secrets", names),
        patch.object(definitions_module, "secrets", names),
        patch.object(Call, "__hash__", number),
    ):
        yield


class _Faults(logging.Handler):
    """What production logs as an error is one: it was not meant to happen."""

    def __init__(self, oracle: Oracle) -> None:
        super().__init__(logging.ERROR)
        self._oracle = oracle

    def emit(self, record: logging.LogRecord) -> None:
        self._oracle.logged(record)


@contextmanager
def _watched_log(oracle: Oracle) -> Iterator[None]:
    logger, handler = logging.getLogger("tickwork"), _Faults(oracle)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def a_world(seed: int, store: str | None = None) -> Iterator[World]:
    """The world of *seed*, with a folder for its store if it needs one."""
    world = World(seed, None, store)
    if world.transactions is None:
        yield world
        return
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="tickwork-", dir=shm if shm.is_dir() else None) as folder:
        world._folder = Path(folder)
        yield world
