"""That a node is there: its beats, who else is, and what that means for the jobs that the code declares.

The rule: what it says is written in a round, and is true for it once the round's commit is done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from tickwork import plan
from tickwork.declaration import Declaration
from tickwork.errors import StoreError
from tickwork.node import Node
from tickwork.plan import Change
from tickwork.stores.base import Store

JUDGE_EVERY = timedelta(minutes=1)
"""How often a node looks for jobs that nobody declares, though it saw no node leave: one may have come and gone between
two beats."""

log = logging.getLogger("tickwork.presence")


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
        self.living: Sequence[str] = (node.declaration,)
        """What the nodes declare that were alive at the last beat, a name for each."""
        self._declaration = declaration
        self._told = node
        """This node, as the store was told of it last."""
        self._telling: tuple[Node, Sequence[str]] | None = None
        """What a round says of this node and has found of the others. None: nothing, in this round."""
        self._judged: frozenset[str] | None = None
        """The declarations of the nodes that were alive when jobs were last looked for that none of them declares."""
        self._judge_at = node.seen_at

    @property
    def look_at(self) -> datetime:
        """When a round has to come for a beat's sake; nearly always a poll is before it."""
        return self.beat_at + min(self.poll, self.lease / 3)

    def is_due(self, now: datetime, clock_error: timedelta | None) -> bool:
        """Whether it is time for a beat; also when others do not know yet that our lifeline or clock has changed."""
        told = self._told
        return (
            now >= self.beat_at
            or self.store.hold_lifeline(told.id) != told.lifeline
            or (clock_error is None) is not (told.clock_error is None)
        )

    def beat(
        self, now: datetime, *, paused: bool, runs: int, lateness: timedelta | None, clock_error: timedelta | None
    ) -> Sequence[Change]:
        """Tell the store that this node is alive. Returns the jobs that were retired, or came back."""
        node = self._told.beat(
            now, self.lease, paused=paused, runs=runs, lateness=lateness, clock_error=clock_error,
            lifeline=self.store.hold_lifeline(self._told.id),
        )  # fmt: skip
        self._telling = node, self.store.beat(node)
        return self._tend_declared_jobs(*self._telling, now)

    def keep_what_was_written(self) -> None:
        if self._telling is not None:
            self._told, self.living = self._telling
            self._telling = None
            self.beat_at = self._told.seen_at + self.lease / 3

    def sign_off(self) -> None:
        """Tell the store that this node stops. If it cannot be told, the node is taken for dead after its lease."""
        try:
            self.store.beat(self._told.stopped(self.store.clock.now()))
        except StoreError as error:
            log.warning("the store was not told that this node stops: %s", error)

    def _tend_declared_jobs(self, node: Node, living: Sequence[str], now: datetime) -> Sequence[Change]:
        """Retire the jobs that no living node declares any more, and bring back our own after an absence.

        Behind the beat, so in a transaction that no other node's beat can come between: what is retired here is
        declared by nobody, and whoever declares it from now on finds it retired.
        """
        changes: list[Change] = []
        if node.seen_since != self._told.seen_since:  # meanwhile we were taken for dead
            self.store.declare(self._declaration)
            ours = self.store.jobs(ids=self._declaration.ids)
            changes += [plan.come_back(job) for job in ours if job.retired_at is not None]
        declared = frozenset(living)
        somebody_left = self._judged is None or self._judged - declared
        if self._declaration.apps and (somebody_left or now >= self._judge_at):
            changes += [plan.retire(job, now) for job in self.store.undeclared(self._declaration.apps)]
            self._judge_at = now + JUDGE_EVERY
        won = self.store.save(changes) if changes else ()
        self._judged = declared if len(won) == len(changes) else None
        for job, _, _ in won:
            if job.retired_at is not None:
                log.warning("job %r is retired: no living node declares it any more", job.id)
        return won
