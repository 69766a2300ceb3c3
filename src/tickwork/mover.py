"""Moving house: jobs and ledger of one store go to another, while nodes are at work; no tick is lost or doubled.

The rule: what each store has noted decides, and is written by comparing. So whoever is killed on the way, or wakes up
late, leaves two stores of which at most one fires; and who begins again sees how far it went.

    from            to
    copying         arriving    the ledger is copied; the old store fires as ever
    leaving         arriving    the old store fires nothing more; what runs ends
    left            arriving    the old store refuses; what is left is copied
    left            arrived     the new store fires
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tickwork import plan
from tickwork.durations import Duration, read_duration
from tickwork.errors import MoveRefusedError, StoreError, StoreUnavailableError
from tickwork.moves import Holdings, Move, MoveState, PackedRun
from tickwork.policies import ONCE
from tickwork.run import Run, RunState
from tickwork.stores import make_store
from tickwork.stores.base import Store

LEASE = timedelta(seconds=10)
"""How long a mover is believed to be alive after it was last heard of."""
GRACE = timedelta(seconds=2)
"""How long a run's lease must have ended until the mover takes it for lost: its node, or another one, comes first."""
USUAL_WAIT = timedelta(minutes=1)
"""How long runs have to end before a move is put off."""
LONGEST_WAIT = timedelta(days=1)
JOBS = 500
RUNS = 1_000
"""How many are copied at once."""
A_MOMENT = 0.05
TRIES = 3
MAX_NAMED = 5
"""How many runs an error names."""

log = logging.getLogger("tickwork.mover")


class Stage(StrEnum):
    """What a mover is doing, in this order."""

    WAITING = "waiting for another mover"
    COPYING = "copying the ledger"
    ENDING = "waiting for runs to end"
    PACKING = "copying the rest"
    MOVED = "moved"


class Step(NamedTuple):
    """How far a move has come."""

    stage: Stage
    done: int = 0
    total: int = 0
    """Rows of the ledger; runs that go on; jobs. 0: it is not known."""
    waits: bool = False
    """Whether nothing can be done for a moment."""


class Moved(NamedTuple):
    """What was moved, or would be."""

    old: str
    """Where it came from."""
    new: str
    """Where it is."""
    holdings: Holdings
    pause: timedelta | None = None
    """How long neither store fired. None: nothing was moved, or it had been before."""


class Mover:
    """A move from *old* to *new*, which are open. Each of its `steps` leaves both whole, whatever happens then."""

    def __init__(self, old: Store, new: Store, *, wait: timedelta = USUAL_WAIT) -> None:
        self.old = old
        self.new = new
        self.wait = wait
        self.name = secrets.token_hex(6)
        self._skipped: list[int] = []
        """The numbers of runs that were open when they were read."""
        self._last = -1
        """The highest number that was read."""
        self._leaving_since: datetime | None = None
        self.moved: Moved | None = None
        """What has been done, at the end."""

    def check(self) -> Holdings:
        """What is to be moved, or has been. Raises MoveRefusedError if it cannot be."""
        if self.old is self.new or self.old.location == self.new.location != "memory":
            raise self._same()
        here, there = self.old.move(), self.new.move()
        if here is not None and here.refuses and not self._is_ours(here):
            raise MoveRefusedError(
                f"expected to move from a store that fires, got {self.old.location}, which {here.told()}: "
                f"move from where the jobs are"
            )
        if self._is_done(here, there):
            return self.new.holdings()
        self._check_target(here, there)
        holdings = self.old.holdings()
        if holdings.empty:
            raise MoveRefusedError(
                f"expected something to move, got {self.old.location}, which is empty: check the address"
            )
        return holdings

    def steps(self) -> Iterator[Step]:
        """Move, step by step; who goes through them decides when the next one comes. Raises StoreError."""
        self.check()
        if self._is_done(self.old.move(), self.new.move()):
            self.moved = Moved(self.old.location, self.new.location, self.new.holdings())
        else:
            yield from self._wait_for_other()
            yield from self._begin()
            if self._noted(self.old).state is MoveState.COPYING:
                yield from self._copy_ledger()
                yield from self._leave()
            yield from self._pack_up()
            self._arrive()
        yield Step(Stage.MOVED)

    def abort(self) -> None:
        """Undo a move that was broken off: the old store fires again, and the new one is empty.

        One that goes on is stopped. Raises MoveRefusedError if the new store fires already, or nothing is on its way.
        """
        here, there = self.old.move(), self.new.move()
        goes = here is not None and self._is_ours(here)
        comes = there is not None and self._comes_from_us(there)
        if here is not None and goes and here.state is MoveState.LEFT and not comes and not self._is_blank(there):
            raise MoveRefusedError(
                f"expected a move that is not done, got one to {self.new.location}, which has fired since: "
                f"to go back, move from where the jobs are to an empty store"
            )
        if not goes and not comes:
            raise MoveRefusedError(
                f"expected a move from {self.old.location} to {self.new.location}, got none: there is nothing to undo"
            )
        if comes:
            assert there is not None
            mine = there._replace(mover=self.name)  # from here on no other mover can let it fire
            self._write(self.new, there, mine)
            self._expect(self.new.clear(mine))
            self._write(self.new, mine, None)
        if goes:
            self._write(self.old, here, None)

    def let_go(self) -> None:
        """Give the old store back if it has not been left, after something went wrong: it fires again."""
        here = self.old.move()
        if here is not None and here.mover == self.name and here.state is not MoveState.LEFT:
            self.abort()

    # the steps, in their order

    def _wait_for_other(self) -> Iterator[Step]:
        """Another mover is given until its lease ends to show that it is alive."""
        seen = self.old.move()
        while (here := self.old.move()) is not None and self._is_at_work(here):
            if here != seen:
                raise MoveRefusedError(
                    f"expected to be the only mover, got another one at work, from {self.old.location} to "
                    f"{here.other}: let it finish, or stop it and begin again"
                )
            yield Step(Stage.WAITING, waits=True)

    def _begin(self) -> Iterator[Step]:
        """Note in both stores that this mover is at work. Unless the old one was left already, it begins anew."""
        here, there = self.old.move(), self.new.move()
        if here is not None and here.state is MoveState.LEFT:
            mine = here._replace(mover=self.name, lease_until=self.old.clock.now() + LEASE)
        else:
            mine = self._note(self.old, secrets.token_hex(6), MoveState.COPYING, self.new)
        self._write(self.old, here, mine)
        yield Step(Stage.COPYING)
        if self.new.move() == mine:
            self._write(self.old, mine, here)
            raise self._same()
        arriving = self._note(self.new, mine.id, MoveState.ARRIVING, self.old)
        self._write(self.new, there, arriving)
        yield Step(Stage.COPYING)
        if there is not None and self._comes_from_us(there):
            if there.id != mine.id:  # what lies there is of an earlier try
                self._expect(self.new.clear(arriving))
        elif not self.new.holdings().empty:  # somebody was faster
            self._write(self.new, arriving, there)
            raise self._not_empty()

    def _copy_ledger(self) -> Iterator[Step]:
        """Copy the rows that have ended, while more are written; until it has caught up with them."""
        total, copied = self.old.holdings().runs, 0
        arriving = self._noted(self.new)
        while True:
            rows = self.old.pack_runs(after=self._last, limit=RUNS)
            closed = [row for row in rows if row.run.state.closed]
            self._skipped += [row.number for row in rows if not row.run.state.closed]
            if closed:
                self._expect(self.new.unpack(arriving, runs=closed))
            if rows:
                self._last = rows[-1].number
            copied += len(rows)
            self._renew()
            yield Step(Stage.COPYING, copied, max(copied, total))
            if len(rows) < RUNS or copied > 2 * total + RUNS:  # more are born than can be caught up with
                return

    def _leave(self) -> Iterator[Step]:
        """Let the old store fire nothing more, wait for what runs there, and leave it."""
        copying = self._noted(self.old)
        leaving = self._note(self.old, copying.id, MoveState.LEAVING, self.new)
        self._leaving_since = leaving.since
        self._write(self.old, copying, leaving)
        yield Step(Stage.ENDING)
        first = None
        while running := self.old.runs(states=[RunState.RUNNING], limit=RUNS):
            first = first or len(running)
            if self.old.clock.now() - leaving.since > self.wait:
                raise self._still_running(running)
            self._reap()
            self._renew()
            yield Step(Stage.ENDING, max(first - len(running), 0), first, waits=True)
        leaving = self._noted(self.old)
        self._write(self.old, leaving, self._note(self.old, leaving.id, MoveState.LEFT, self.new))
        yield Step(Stage.PACKING)

    def _reap(self) -> None:
        """Close the runs of nodes that died, if no other node does."""
        now = self.old.clock.now()
        lost = [run for run in self.old.lost(RUNS) if run.lease_until is None or run.lease_until + GRACE <= now]
        if lost:
            jobs = {job.uid: job for job in self.old.jobs(ids={run.job_id for run in lost})}
            policies = {uid: job.retry for uid, job in jobs.items()}
            self.old.settle([
                plan.settle(run, policies.get(run.job_uid, ONCE), plan.lost(run, now, begun=True), now) for run in lost
            ])  # fmt: skip

    def _pack_up(self) -> Iterator[Step]:
        """Copy what is left: nothing changes in either store any more."""
        arriving, holdings = self._noted(self.new), self.old.holdings()
        skipped = sorted(self._skipped)
        for start in range(0, len(skipped), RUNS):
            self._unpack_runs(arriving, self.old.pack_runs(limit=RUNS, numbers=skipped[start : start + RUNS]))
            yield Step(Stage.PACKING)
        yield from self._unpack_ledger(arriving, self._last)
        if self.new.holdings().runs != holdings.runs:  # some were written by transactions that took long
            yield from self._unpack_ledger(arriving, -1)
        copied, after = 0, ""
        while jobs := self.old.pack_jobs(after=after, limit=JOBS):
            self._expect(self.new.unpack(arriving, jobs=jobs))
            copied, after = copied + len(jobs), jobs[-1].job.id
            self._renew()
            yield Step(Stage.PACKING, copied, holdings.jobs)
        self._expect(self.new.unpack(arriving, rest=self.old.pack_rest()))
        yield Step(Stage.PACKING, copied, holdings.jobs)
        if (there := self.new.holdings()) != holdings:
            raise StoreUnavailableError(
                f"expected {holdings} in {self.new.location} after the copy, got {there}: begin again"
            )

    def _unpack_ledger(self, arriving: Move, after: int) -> Iterator[Step]:
        while rows := self.old.pack_runs(after=after, limit=RUNS):
            self._unpack_runs(arriving, rows)
            after = rows[-1].number
            yield Step(Stage.PACKING)

    def _unpack_runs(self, arriving: Move, rows: Sequence[PackedRun]) -> None:
        self._expect(self.new.unpack(arriving, runs=rows))
        self._renew()

    def _arrive(self) -> None:
        """Let the new store fire: from here on there is no way back."""
        arriving = self._noted(self.new)
        arrived = self._note(self.new, arriving.id, MoveState.ARRIVED, self.old)
        self._write(self.new, arriving, arrived)
        left_at = self._leaving_since
        pause = None if left_at is None else self.old.clock.now() - left_at
        self.moved = Moved(self.old.location, self.new.location, self.new.holdings(), pause)

    # what the notes say

    def _note(self, store: Store, id: str, state: MoveState, other: Store) -> Move:
        now = store.clock.now()
        return Move(id, state, other.location, now, self.name, now + LEASE)

    def _noted(self, store: Store) -> Move:
        """What this mover has noted there; MoveRefusedError if somebody else has since."""
        found = store.move()
        if found is None or found.mover != self.name:
            raise self._overtaken()
        return found

    def _write(self, store: Store, before: Move | None, after: Move | None) -> None:
        """Compare and write; anew if it failed, since in a database others' locks may have been in the way."""
        for _ in range(TRIES - 1):
            try:
                return self._expect(store.write_move(before, after))
            except StoreUnavailableError:
                if store.move() == after:  # only the reply was lost
                    return None
        return self._expect(store.write_move(before, after))

    def _expect(self, written: bool) -> None:
        if not written:
            raise self._overtaken()

    def _renew(self) -> None:
        """Show that this mover is alive, a third of a lease at a time."""
        here = self._noted(self.old)
        now = self.old.clock.now()
        if here.lease_until - now < LEASE * 2 / 3:
            self._write(self.old, here, here._replace(lease_until=now + LEASE))

    def _is_ours(self, here: Move) -> bool:
        """Whether a note of the old store is of a move to the new one."""
        leads_away = here.state in (MoveState.COPYING, MoveState.LEAVING, MoveState.LEFT)
        return leads_away and here.other == self.new.location

    def _comes_from_us(self, there: Move) -> bool:
        """Whether a note of the new store is of a move from the old one that is not done."""
        return there.state is MoveState.ARRIVING and there.other == self.old.location

    def _is_done(self, here: Move | None, there: Move | None) -> bool:
        if here is None or there is None or here.id != there.id:
            return False
        return here.state is MoveState.LEFT and there.state is MoveState.ARRIVED

    def _is_blank(self, there: Move | None) -> bool:
        """Whether the new store has never been open for firing: what was to be there was taken away again."""
        return there is None and self.new.holdings().empty

    def _is_at_work(self, here: Move) -> bool:
        """Whether another mover is believed to be alive."""
        leads_away = here.state in (MoveState.COPYING, MoveState.LEAVING, MoveState.LEFT)
        return leads_away and here.mover != self.name and here.lease_until > self.old.clock.now()

    def _check_target(self, here: Move | None, there: Move | None) -> None:
        if there is not None and self._comes_from_us(there):
            return
        if there is not None and there.state is not MoveState.ARRIVED:
            raise MoveRefusedError(
                f"expected to move to a store that is empty, got {self.new.location}, which {there.told()}: "
                f"name another file, schema or prefix"
            )
        if not self.new.holdings().empty:
            raise self._not_empty()

    def _not_empty(self) -> MoveRefusedError:
        found = self.new.holdings()
        return MoveRefusedError(
            f"expected to move to a store that is empty, got {self.new.location} with {found.jobs} jobs, "
            f"{found.runs} runs and {found.backfills} backfills: name another file, schema or prefix"
        )

    def _same(self) -> MoveRefusedError:
        return MoveRefusedError(
            f"expected two stores, got {self.old.location} twice: name another file, schema or prefix to move to"
        )

    def _overtaken(self) -> MoveRefusedError:
        return MoveRefusedError(
            f"expected to be the only one who moves {self.old.location}, got a note by somebody else: "
            f"the move was undone or taken over meanwhile; begin again if it is still to be done"
        )

    def _still_running(self, running: Sequence[Run]) -> MoveRefusedError:
        named = ", ".join(f"{run.id} of {run.job_id!r}" for run in running[:MAX_NAMED])
        more = f" and {len(running) - MAX_NAMED} more" if len(running) > MAX_NAMED else ""
        return MoveRefusedError(
            f"expected all runs to end within {self.wait}, got {len(running)} that go on ({named}{more}): "
            f"the old store fires again; begin again when they have ended, or wait longer"
        )


def move(
    old: str | Store, new: str | Store, *, wait: Duration = USUAL_WAIT, dry_run: bool = False,
    tell: Callable[[Step], None] | None = None,
) -> Moved:  # fmt: skip
    """Move all jobs and the whole ledger from the store *old* to *new*, which is empty; nodes may be at work on *old*.

    Firing pauses while runs end, for *wait* at most, and what is left is copied; fire times in between are caught up
    by the policies of their jobs. From then on *old* refuses to fire and to be changed. It may be killed at any time,
    and called again. *tell* hears how far it is, often. With *dry_run* nothing is moved.

    Raises StoreError: MoveRefusedError if it cannot be done as the stores stand; what else *old* and *new* raise. If it
    was not left yet, *old* fires again then.
    """
    patience = read_duration("wait", wait, most=LONGEST_WAIT)
    with ExitStack() as stack:
        mover = Mover(_opened(old, stack), _opened(new, stack), wait=patience)
        if dry_run:
            return Moved(mover.old.location, mover.new.location, mover.check())
        try:
            for step in mover.steps():
                if tell is not None:
                    tell(step)
                if step.waits:
                    time.sleep(A_MOMENT)
        except BaseException:
            with suppress(StoreError):  # then its nodes do so, when the mover is not heard of any more
                mover.let_go()
            _log_if_left(mover)
            raise
    assert mover.moved is not None
    log.info("%s has moved to %s", mover.moved.old, mover.moved.new)
    return mover.moved


def _log_if_left(mover: Mover) -> None:
    """Say that nothing fires, if that is how it was broken off."""
    with suppress(StoreError):
        here = mover.old.move()
        if here is not None and here.mover == mover.name and here.state is MoveState.LEFT:
            log.error(
                "%s was left, and %s fires nothing yet: begin again to go on, or undo the move",
                mover.old.location, mover.new.location,
            )  # fmt: skip


def abort_move(old: str | Store, new: str | Store) -> None:
    """Undo a move from *old* to *new* that was broken off, or stop one that goes on: *old* fires again, *new* is empty.

    Raises StoreError: MoveRefusedError if *new* fires already, or there is no such move.
    """
    with ExitStack() as stack:
        Mover(_opened(old, stack), _opened(new, stack)).abort()


def _opened(named: str | Store, stack: ExitStack) -> Store:
    """The store, open; one that was named is closed at the end."""
    store = make_store(named)
    if isinstance(named, str):
        stack.enter_context(closing(store))
    store.open()
    return store
