"""That a node is there: its beats, who else is, and what that means for the jobs that the code declares.

The rule: what it says is written in a round, and is true for it once the round's commit is done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tickwork import plan
from tickwork.declaration import Declaration
from tickwork.errors import StoreError
from tickwork.expectation import Expectation
from tickwork.node import Node
from tickwork.plan import Change
from tickwork.stores.base import Store

JUDGE_EVERY = timedelta(minutes=1)
"""How often a node looks for jobs that nobody declares, though it saw no node leave: one may have come and gone between
two beats."""

log = logging.getLogger("tickwork.presence")


class Beat(NamedTuple):
    """What a round says of this node, and what it has found of the others and done about their jobs."""

    node: Node
    living: Sequence[str]
    """What the living nodes declare, a name for each."""
    judge_at: datetime
    """When jobs are looked for again that no living node declares, though no node leaves."""
    judged: frozenset[str] | None = None
    """The declarations of the nodes that were alive when they were last looked for. None: nobody looked yet."""
    changes: Sequence[Change] = ()
    """The jobs that were retired, came back, or are again as this node's code declares them."""


class Presence:
    """Beats a third of a lease apart: so two of them may fail before the node is taken for dead."""

    def __init__(
        self, store: Store, node: Node, declaration: Declaration, *, lease: timedelta, poll: timedelta
    ) -> None:  # fmt: skip
        self.store = store
        self.lease = lease
        self.poll = poll
        self.beat_at = node.seen_at
        """When the next beat is due."""
        self._declaration = declaration
        self._last = Beat(node, (node.declaration,), judge_at=node.seen_at)
        """The last beat that was written."""
        self._next: Beat | None = None
        """The one that a round writes. None: it writes none."""

    @property
    def living(self) -> Sequence[str]:
        """What the nodes declare that were alive at the last beat, a name for each."""
        return self._last.living

    @property
    def look_at(self) -> datetime:
        """When a round has to come for a beat's sake; nearly always a poll is before it."""
        return self.beat_at + min(self.poll, self.lease / 3)

    def begin_anew(self, now: datetime) -> None:
        """The clock was set back: what was planned by it is due."""
        self.beat_at = now
        self._last = self._last._replace(judge_at=now)

    def is_due(self, now: datetime, clock_error: timedelta | None) -> bool:
        """Whether it is time for a beat; also when others do not know yet that our lifeline or clock has changed."""
        told = self._last.node
        return (
            now >= self.beat_at
            or self.store.hold_lifeline(told.id) != told.lifeline
            or (clock_error is None) is not (told.clock_error is None)
        )

    def beat(
        self, now: datetime, *, paused: bool, runs: int, lateness: timedelta | None, clock_error: timedelta | None
    ) -> Sequence[Change]:
        """Tell the store that this node is alive. Returns the declared jobs that this has changed."""
        node = self._last.node.beat(
            now, self.lease, paused=paused, runs=runs, lateness=lateness, clock_error=clock_error,
            lifeline=self.store.hold_lifeline(self._last.node.id),
        )  # fmt: skip
        self._next = self._tend_declared_jobs(node, self.store.beat(node), now)
        return self._next.changes

    def keep_what_was_written(self) -> None:
        if self._next is None:
            return
        self._last, self._next = self._next, None
        self.beat_at = self._last.node.seen_at + self.lease / 3
        for job, _, _ in self._last.changes:
            if job.retired_at is not None:
                log.warning("job %r is retired: no living node declares it any more", job.id)
            else:
                log.info("job %r is as this node declares it again", job.id)

    def sign_off(self) -> None:
        """Tell the store that this node stops. If it cannot be told, the node is taken for dead after its lease."""
        try:
            self.store.beat(self._last.node.stopped(self.store.clock.now()))
        except StoreError as error:
            log.warning("the store was not told that this node stops: %s", error)

    def _tend_declared_jobs(self, node: Node, living: Sequence[str], now: datetime) -> Beat:
        """Retire the jobs that no living node declares any more, and bring back our own after an absence.

        When the last node of another version of the code has left, our jobs become what this one declares: a worker of
        that version may have started after us, and have taken them back to its own.

        Behind the beat, so in a transaction that no other node's beat can come between: what is retired here is
        declared by nobody, and whoever declares it from now on finds it retired.
        """
        last, judge_at = self._last, self._last.judge_at
        declared = frozenset(living)
        somebody_left = last.judged is not None and bool(last.judged - declared)
        was_away = node.seen_since != last.node.seen_since or last.judged is None  # meanwhile we were taken for dead
        changes: list[Change] = []
        expected: list[Expectation] = []
        if was_away:
            self.store.declare(self._declaration)
        ours = self.store.jobs(ids=self._declaration.ids) if was_away or somebody_left else ()
        if somebody_left:
            for job in ours:
                if (change := plan.ensure(job, self._declaration.jobs[job.id], now)) is not None:
                    changes.append(change)
                    expected += filter(None, [plan.expect_anew(job, change.job, now)])
        else:
            changes += [plan.come_back(job) for job in ours if job.retired_at is not None]
        if self._declaration.apps and (somebody_left or last.judged is None or now >= judge_at):
            changes += [plan.retire(job, now) for job in self.store.undeclared(self._declaration.apps)]
            judge_at = now + JUDGE_EVERY
        won = self.store.save(changes, expected=expected) if changes else ()
        if len(won) < len(changes):  # others were faster: look again
            return Beat(node, living, now, last.judged, won)
        return Beat(node, living, judge_at, declared, won)
