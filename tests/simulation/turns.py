"""Threads of which exactly one runs at a time: whoever parks decides, by the seed, who goes on.

The rule: an actor gives up its turn only where it parks. So one seed is one history, on any machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.processes import Process

PATIENCE = 60.0
"""Real seconds until a simulation that does not go on is given up: a thread waits for something outside of it."""


class Killed(BaseException):
    """What ends a thread of a process that was killed: no code of it can do anything any more."""


class Actor:
    """A thread of a process."""

    def __init__(self, name: str, process: Process | None) -> None:
        self.name = name
        self.process = process
        self.ready = True
        """Whether it could go on. If not, it waits for a time, a bell or a lock."""
        self.killed = False
        self.waits = 0
        """How often it has waited: what wakes it names the time that it means."""
        self._turn = threading.Lock()
        self._turn.acquire()

    def give_turn(self) -> None:
        self._turn.release()

    def wait_turn(self) -> None:
        assert self._turn.acquire(timeout=PATIENCE), f"{self.name} was not given its turn for {PATIENCE} s"

    @property
    def can_go_on(self) -> bool:
        return self.killed or (self.ready and (self.process is None or not self.process.stalled))


class Turns:
    """The actors, and whose turn it is. *choose* names the one that goes on."""

    def __init__(self, choose: Callable[[], Actor]) -> None:
        self.main = Actor("main", None)
        self.actors: list[Actor] = []
        self.current = self.main
        self.crashes: list[BaseException] = []
        """What actors have died of that were not killed."""
        self._choose = choose

    def start(self, name: str, process: Process, work: Callable[[], object]) -> Actor:
        """A new actor, which begins when it is chosen."""
        actor = Actor(name, process)
        self.actors.append(actor)
        threading.Thread(target=self._act, args=(actor, work), name=name, daemon=True).start()
        return actor

    def park(self) -> None:
        """Let whoever is chosen go on; return when it is this one's turn again. Raises Killed."""
        actor = self.current
        if not actor.killed:
            self._pass_on(actor)
        if actor.killed:
            raise Killed

    def end(self) -> None:
        """Kill all actors that are left, one after another."""
        for actor in [*self.actors]:
            actor.killed = True
            self._give(actor)
            self.main.wait_turn()

    def _pass_on(self, actor: Actor) -> None:
        chosen = self._choose()
        if chosen is not actor:
            self._give(chosen)
            actor.wait_turn()

    def _give(self, actor: Actor) -> None:
        self.current = actor
        actor.give_turn()

    def _act(self, actor: Actor, work: Callable[[], object]) -> None:
        actor.wait_turn()
        try:
            if not actor.killed:
                work()
        except Killed:
            pass
        except BaseException as error:
            self.crashes.append(error)
        self.actors.remove(actor)
        self._give(self._choose())
