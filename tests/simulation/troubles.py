"""What comes over the processes of a world, as its weather has it: faults of machines, networks, clocks and executors,
deploys, and people.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.simulation.people import draw_deed
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

DEEDS_PER_FAULT = 6
"""People do so many things while one fault of a kind strikes."""


class Troubles:
    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng

    def begin(self) -> None:
        every, weather = self._world.weather.every, self._world.weather
        for fault, wait, strike in (
            ("crash", every, lambda: self._now_or_at_its_next_write(self._kill)),
            ("stall", every, lambda: self._now_or_at_its_next_write(self._freeze)),
            ("partition", every, self._cut_off),
            ("outage", every, self._lose_store),
            ("clock", every, self._set_clock),
            ("wrong clock", every, self._mistell),
            ("deploy", every, self._stop),
            ("full", every, self._fill),
            ("stuck", every, self._stick),
            ("verbs", every / DEEDS_PER_FAULT, self._ask),
            ("slow store", every, self._slow_down),
        ):
            if weather.has(fault):
                self._strike_again(wait, strike)

    def _strike_again(self, wait: float, strike: Callable[[], None]) -> None:
        """At some time, and again and again until all is well."""

        def struck() -> None:
            if not self._world.healed:
                strike()
                self._strike_again(wait, strike)

        self._world.later(timedelta(seconds=self._rng.expovariate(1 / wait)), struck)

    def _any_process(self) -> Process | None:
        up = [process for process in self._world.processes if process.is_up]
        return self._rng.choice(up) if up else None

    def _now_or_at_its_next_write(self, strike: Callable[[Process], None]) -> None:
        process = self._any_process()
        if process is not None:
            if self._rng.random() < 0.5:
                strike(process)
            else:
                process.doom = strike

    # processes

    def _kill(self, process: Process) -> None:
        if process.is_up and not self._world.healed:
            self._world.tell(process.name, "is killed")
            process.kill()
            self._world.later(timedelta(seconds=self._rng.choice([0.1, 2.0, 12.0])), self._world.boot)

    def _stop(self) -> None:
        process = self._any_process()
        if process is not None and process.scheduler is not None:
            self._world.tell(process.name, "is to stop")
            process.scheduler.shutdown(wait=False, timeout=self._rng.choice([None, 0.5, 5.0]))
            self._world.later(timedelta(seconds=self._rng.choice([0.1, 5.0])), self._world.boot)

    def _freeze(self, process: Process) -> None:
        if process.alive and not process.stalled and not self._world.healed:
            length = self._world.weather.lease * self._rng.choice([0.3, 0.9, 1.01, 1.3, 2.0])
            self._world.tell(process.name, "stands still for", length)
            process.stalled = True
            process.is_impaired_for(length)
            self._world.later(length, process.go_on)

    def _slow_down(self) -> None:
        """Everything takes its time for a while: as when a disk is busy."""
        for process in self._world.processes:
            if process.alive and not process.stalled:
                process.stalled = True
                self._world.later(timedelta(seconds=self._rng.choice([0.1, 0.5])), process.go_on)

    def _fill(self) -> None:
        process = self._any_process()
        if process is not None:
            process.handlers.room = self._rng.choice([0, 1, 1, 3])

    def _stick(self) -> None:
        process = self._any_process()
        if process is not None:
            process.handlers.stuck = True
            self._world.later(timedelta(seconds=self._rng.choice([0.2, 3.0, 6.0])), process.handlers.begin_waiting)

    # the way to the store

    def _cut_off(self) -> None:
        process = self._any_process()
        if process is not None and not process.cut_off:
            length = self._world.weather.lease * self._rng.choice([0.2, 0.9, 1.1, 2.0])
            self._world.tell(process.name, "is cut off for", length)
            process.cut_off = True
            process.is_impaired_for(length)
            self._world.later(length, process.reconnect)

    def _lose_store(self) -> None:
        world = self._world
        if not world.outage:
            length = world.weather.lease * self._rng.choice([0.1, 0.5, 1.2, 2.0])
            world.tell("store", "is out for", length)
            world.outage = True
            world.later(length, world.find_store)

    # clocks

    def _set_clock(self) -> None:
        by = self._rng.choice([-40.0, -10.0, -1.0, 1.0, 10.0, 45.0])
        self._world.tell("machine", "sets its clock by", by)
        self._world.set_clock(timedelta(seconds=by))
        self._world.oracle.clock_was_set()

    def _mistell(self) -> None:
        process = self._any_process()
        if process is not None:
            error = self._rng.choice([0.005, 0.02, 0.02, 1.0, 20.0, 60.0]) * self._rng.choice([-1, 1])
            self._world.tell(process.name, "has a clock that is wrong by", error)
            process.clock.error = timedelta(seconds=error)
            self._world.oracle.clock_is_wrong(process)
            self._world.later(timedelta(seconds=self._rng.choice([0.5, 3.0, 15.0])), lambda: self._mend_clock(process))

    def _mend_clock(self, process: Process) -> None:
        process.clock.error = timedelta(0)
        self._world.oracle.clock_is_wrong(process)

    # people

    def _ask(self) -> None:
        process = self._any_process()
        if process is not None and not process.stalled:
            self._world.turns.start("someone", process, draw_deed(self._world, process))
