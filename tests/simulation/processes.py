"""A simulated process: the production scheduler, driver and loop, with an executor whose calls the seed ends.

The rule: nothing of production is replaced but where it would touch the real world: its thread, its bell, its executor.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, final

from tests.simulation.line import Line

from tickwork.driver import Driver
from tickwork.errors import StoreError
from tickwork.events import Event
from tickwork.executors.base import Report
from tickwork.executors.call import Call, refusal
from tickwork.loop import Loop
from tickwork.retention import Retention
from tickwork.run import Failed, Lost, Outcome, Progress, Succeeded
from tickwork.scheduler import Scheduler

if TYPE_CHECKING:
    from tests.simulation.turns import Actor
    from tests.simulation.world import World

MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
KEPT = Retention(age=20 * SECOND, count=15)
"""What the ledger keeps where pruning is simulated."""


class NodeClock:
    """The store's time as a node tells it: wrong by its *error*."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.error = timedelta(0)

    def now(self) -> datetime:
        return self._world.wall + self.error


class Bell:
    """The bell of a driver: to wait for it is to let others go on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rung = False
        self._waiting: Callable[[], None] | None = None

    def set(self) -> None:
        self._rung = True
        if self._waiting is not None:
            self._waiting()

    def clear(self) -> None:
        self._rung = False
        self._world.turns.park()

    def wait(self, timeout: float) -> None:
        if not self._rung:
            actor = self._world.turns.current
            self._waiting = lambda: setattr(actor, "ready", True)
            try:
                self._world.sleep(timeout)
            finally:
                self._waiting = None


class DriversThread:
    """The thread of a driver, as an actor."""

    def __init__(self, process: Process, drive: Callable[[], None]) -> None:
        self._process = process
        self._drive = drive

    def start(self) -> None:
        process = self._process
        process.driver = process.world.turns.start(process.name, process, self._drive_to_the_end)

    def _drive_to_the_end(self) -> None:
        self._drive()
        self._process.alive = False

    def is_alive(self) -> bool:
        return self._process.alive

    def join(self, timeout: float | None) -> None:
        raise AssertionError("a simulated shutdown goes on in the background")


class Heard:
    """Listeners that hear everything at once, and write it down."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def __bool__(self) -> bool:
        return True

    def tell(self, event: Event) -> None:
        if self._process.alive:
            self._process.world.oracle.heard(self._process, event)

    def stand_by(self) -> None: ...

    def rest(self) -> None: ...

    def called_from(self) -> bool:
        return False

    def wait_told(self, timeout: float) -> Sequence[object]:
        return ()


@final
class SimulatedScheduler(Scheduler):
    def __init__(self, process: Process) -> None:
        world = process.world
        weather = world.weather
        super().__init__(
            process.line, executors={"threads": process.handlers}, lease=weather.lease, poll=weather.poll,  # type: ignore[arg-type]
            keep=KEPT,
        )  # fmt: skip
        self._process_of = process
        self._listeners = Heard(process)  # type: ignore[assignment]

    def _own_executors(self) -> dict[str, Any]:
        return {}

    def _make_driver(self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None]) -> Driver:
        bell: Any = Bell(self._process_of.world)
        driver = Driver(lambda _: make_loop(bell.set), finished)
        thread: Any = DriversThread(self._process_of, driver._drive)
        driver._bell, driver._thread = bell, thread
        return driver


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a call."""

    takes: timedelta
    outcome: Outcome
    obeys: bool
    """Whether it ends soon after it was asked to."""
    tells: bool
    """Whether it tells of its progress meanwhile."""


class Handlers:
    """An executor of *room* places. What it begins and ends the oracle sees, and no store controls."""

    def __init__(self, process: Process, room: int) -> None:
        self._process = process
        self._world = process.world
        self.room = room
        self.stuck = False
        self.waiting: list[Call] = []
        self.running: dict[Call, Fate] = {}

    def start(self, report: Report) -> None:
        self._report = report

    def free(self) -> int:
        return self.room - len(self.waiting) - len(self.running)

    def submit(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self.waiting.append(call)
            if not self.stuck:
                self._begin(call)

    def take_back(self) -> Sequence[Call]:
        taken, self.waiting = self.waiting, []
        return taken

    def cancel(self, call: Call) -> bool:
        fate = self.running.get(call)
        if fate is None or not fate.obeys:
            return False
        self._world.later(5 * MILLISECOND, lambda: self._end(call, Lost("its task was cancelled before it ended")))
        return True

    def stop(self) -> None: ...

    def begin_waiting(self) -> None:
        self.stuck = False
        for call in [*self.waiting]:
            self._begin(call)

    def end_hanging(self) -> None:
        for call, fate in [*self.running.items()]:
            self._end(call, fate.outcome)

    def _begin(self, call: Call) -> None:
        self.waiting.remove(call)
        now = self._process.clock.now()
        refused = refusal(call, now)
        if refused is not None:
            self._report(call, refused)
            return
        call.started_at = now
        fate = self.running[call] = self._world.draw_fate()
        self._world.oracle.started(self._process, call, fate)
        if fate.tells:
            self._world.later(fate.takes / 2, lambda: self._tell_progress(call))
        self._world.later(fate.takes, lambda: self._end(call, fate.outcome))

    def _tell_progress(self, call: Call) -> None:
        if self._process.alive and call in self.running:
            call.progress = Progress(1, 2)
            call.progressed(call)

    def _end(self, call: Call, outcome: Outcome) -> None:
        """The call ends; of a process that stands still, when it goes on."""
        if not self._process.alive or call not in self.running:
            return
        if self._process.stalled:
            self._process.when_it_goes_on.append(lambda: self._end(call, outcome))
            return
        del self.running[call]
        self._world.oracle.ended(self._process, call, outcome)
        self._report(call, outcome)


class Process:
    """A process from its start until it ends: its name is new each time."""

    def __init__(self, world: World, name: str, *, room: int) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.stalled = False
        self.cut_off = False
        self.when_it_goes_on: list[Callable[[], None]] = []
        self.doom: Callable[[Process], None] | None = None
        """What comes over it as soon as it has written something, and before it is told so."""
        self.impaired_until = world.true
        """Until when, in true time, it may be taken for dead although it lives: it stood still, or was cut off."""
        self.out_of_reach_at: int | None = None
        """When its driver last failed to reach the store, in true time. None: it never did."""
        self.driver: Actor | None = None
        """The thread of its loop, once that has begun."""
        self.clock = NodeClock(world)
        self.line = Line(world, self)
        self.handlers = Handlers(self, room)
        self.scheduler: SimulatedScheduler | None = None
        """None: it has not come up yet."""
        world.turns.start(name, self, self._come_up)

    def _come_up(self) -> None:
        scheduler = SimulatedScheduler(self)
        while True:
            try:
                scheduler.start()
            except StoreError:
                self.world.sleep(1.0)
            else:
                break
        atexit.unregister(scheduler._leave)
        self.scheduler = scheduler

    @property
    def is_up(self) -> bool:
        return self.alive and self.scheduler is not None and self.scheduler.running

    @property
    def is_to_stop(self) -> bool:
        return self.scheduler is not None and not self.scheduler.running

    @property
    def node(self) -> str | None:
        driver = None if self.scheduler is None else self.scheduler._driver
        return None if driver is None else driver.loop.node

    def kill(self) -> None:
        self.alive = False
        self.stalled = False
        for actor in self.world.turns.actors:
            if actor.process is self:
                actor.killed = True

    def is_impaired_for(self, length: timedelta) -> None:
        self.impaired_until = max(self.impaired_until, self.world.true + length // timedelta(microseconds=1))

    def reconnect(self) -> None:
        self.cut_off = False

    def go_on(self) -> None:
        """After it stood still, if it did."""
        if not self.stalled:
            return
        self.world.tell(self.name, "goes on")
        self.stalled = False
        pending, self.when_it_goes_on = self.when_it_goes_on, []
        for act in pending:
            act()


SUCCESS = Succeeded()
QUICK = Fate(20 * MILLISECOND, SUCCESS, obeys=True, tells=False)
FAILURES = (
    Failed("ValueError: broken", "Traceback ...", ("ValueError", "Exception", "BaseException")),
    Failed("ConnectionError: gone", "Traceback ...", ("ConnectionError", "OSError", "Exception", "BaseException")),
)
