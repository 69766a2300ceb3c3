"""The ledger in memory: every row, and those of each job in their order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from itertools import islice, takewhile
from typing import TypeAlias

from tickwork.backfill import Answered
from tickwork.clock import BEGINNING
from tickwork.moves import PackedRun
from tickwork.retention import Retention
from tickwork.run import Origin, Run, RunKey, RunState
from tickwork.runlog import RunLog
from tickwork.why import NEVER_BEGUN, Evidence, Silence, end_of, rows_at

Key: TypeAlias = tuple[int, datetime, int, int]
"""What is unique of a run: job, fire time, origin, attempt."""

SCHEDULE, MANUAL, BACKFILL = range(3)
"""Origins in a key."""
RANKS = {Origin.SCHEDULE: SCHEDULE, Origin.MANUAL: MANUAL, Origin.BACKFILL: BACKFILL}
_ORIGIN = 2
_LAST = 2**31
"""An attempt after all others."""
_NO_KEY: Key = (-1, BEGINNING, SCHEDULE, 0)


def key_of(run: Run) -> Key:
    origin = run.origin
    rank = SCHEDULE if origin is Origin.SCHEDULE else MANUAL if origin is Origin.MANUAL else BACKFILL
    return run.job_uid, run.fire_time, rank, run.attempt


def read_key(run_id: str) -> Key:
    """The key that an id writes down; a RunNotFoundError if it cannot be a run's id."""
    key = RunKey.parse(run_id)
    return key.job_uid, key.fire_time, RANKS[key.origin], key.attempt


class Ledger:
    """Rows by key, in the order of their births, and what is kept beside them."""

    def __init__(self) -> None:
        self.rows: dict[Key, Run] = {}
        """To be read; written by `put`."""
        self.logs: dict[Key, RunLog] = {}
        self.pruned_through: dict[int, datetime] = {}
        """By job: the last fire time whose row was let go of."""
        self._keys: dict[int, list[Key]] = {}
        self._numbers: dict[Key, int] = {}
        """Of rows that were born elsewhere; the others follow in the order of their births."""

    def put(self, key: Key, run: Run) -> None:
        """Write a row, the first time in its place among those of its job: nearly always the last."""
        rows = self.rows
        if key not in rows:
            keys = self._keys.setdefault(key[0], [])
            if not keys or keys[-1] < key:
                keys.append(key)
            else:
                insort(keys, key)
        rows[key] = run

    def has_rows(self, uid: int) -> bool:
        """Whether a job has any."""
        return uid in self._keys

    def jobs_after(self, uid: int, count: int, *, without: Collection[int]) -> Sequence[int]:
        """The next *count* jobs that have rows, by their uids."""
        return nsmallest(count, (one for one in self._keys if one > uid and one not in without))

    def answered(self, uid: int, fire_time: datetime) -> Answered:
        """What the ledger says of a fire time to a backfill."""
        keys = self._keys.get(uid, [])
        first, last = bisect_left(keys, (uid, fire_time, 0, 0)), bisect_left(keys, (uid, fire_time, BACKFILL, _LAST))
        runs = [self.rows[key] for key in keys[first:last] if key[_ORIGIN] != MANUAL]
        return Answered(
            ran=any(run.state not in NEVER_BEGUN for run in runs),
            open=any(not run.state.closed for run in runs),
            backfilled=max((run.attempt for run in runs if run.origin is Origin.BACKFILL), default=0),
        )

    def evidence(self, known: Evidence, uid: int, instant: datetime, running: Sequence[Run]) -> Evidence:
        """What is *known* of a job and an instant, with all that its rows tell; *running* are those of now."""
        keys = self._keys.get(uid, [])
        begin, here = bisect_left(keys, (uid, instant, 0, 0)), bisect_right(keys, (uid, instant, BACKFILL, _LAST))
        end = bisect_left(keys, (uid, end_of(instant), 0, 0))
        before = self._attempts(keys, range(here - 1, -1, -1))
        after = self._attempts(keys, range(here, len(keys)))
        manual, backfilled = (
            [self.rows[key] for key in keys[begin:end] if key[_ORIGIN] == origin] for origin in (MANUAL, BACKFILL)
        )
        found = rows_at(before, after, instant)
        silence = self._silence(found[0]) if found and found[0].state in NEVER_BEGUN else None
        waits = any(run.state is RunState.PENDING for run in (*found, *manual))
        return known._replace(
            before=before, after=after, manual=manual, backfilled=backfilled, silence=silence,
            running=running if waits else (), pruned_through=self.pruned_through.get(uid),
        )  # fmt: skip

    def prune(self, uid: int, keep: Retention, now: datetime, rows: int) -> int:
        """Let go of the oldest *rows* of a job that are kept no longer, and note up to where; how many there were."""
        keys = self._keys[uid]
        counted = self.rows[keys[-keep.count]].fire_time if keep.count and len(keys) >= keep.count else BEGINNING
        aged = keep.cutoff(now) or BEGINNING
        oldest = takewhile(lambda key: self.rows[key].fire_time < max(counted, aged), keys)
        prunable = [*islice((key for key in oldest if _is_prunable(self.rows[key], counted, aged)), rows)]
        if prunable:
            self._delete(uid, prunable)
        return len(prunable)

    def pack(self, after: int, limit: int, numbers: Collection[int] | None) -> list[PackedRun]:
        """Rows in their order, numbered by it; see `Store.pack_runs`."""
        numbered = enumerate(self.rows.items())
        chosen = (entry for entry in numbered if (entry[0] > after if numbers is None else entry[0] in numbers))
        return [PackedRun(number, run, self.logs.get(key)) for number, (key, run) in islice(chosen, limit)]

    def unpack(self, key: Key, number: int, log: RunLog | None) -> None:
        """Give a row that was just put the place that its *number* means."""
        latest = next(reversed(self._numbers.values()), number)
        self._numbers[key] = number
        if log is not None:
            self.logs[key] = log
        if number < latest:
            self._numbers = dict(sorted(self._numbers.items(), key=lambda entry: entry[1]))
            self.rows = {key: self.rows[key] for key in self._numbers}

    def _delete(self, uid: int, keys: Sequence[Key]) -> None:
        deleted = [self.rows.pop(key) for key in keys]
        for key in keys:
            self.logs.pop(key, None)
        gone = {*keys}
        self._keys[uid] = [key for key in self._keys[uid] if key not in gone]
        through = max(run.through or run.fire_time for run in deleted)
        self.pruned_through[uid] = max(through, self.pruned_through.get(uid, through))
        if not self._keys[uid]:
            del self._keys[uid]

    def _attempts(self, keys: Sequence[Key], places: Iterable[int]) -> Sequence[Run]:
        """All attempts at the first fire time of the schedule that lies at one of these *places*."""
        uid, fire_time, _, _ = next((keys[place] for place in places if keys[place][_ORIGIN] == SCHEDULE), _NO_KEY)
        first, last = bisect_left(keys, (uid, fire_time, 0, 0)), bisect_right(keys, (uid, fire_time, SCHEDULE, _LAST))
        return [self.rows[key] for key in keys[first:last]]

    def _silence(self, run: Run) -> Silence | None:
        """Between which signs of a node *run* lies: the starts and endings of all rows that were born before it."""
        signs = [
            at for one in takewhile(lambda one: one is not run, self.rows.values())
            for at in (one.started_at, one.ended_at) if at is not None
        ]  # fmt: skip
        after = [at for at in (*signs, run.ended_at) if at is not None and at >= run.fire_time]
        since = max((at for at in signs if at < run.fire_time), default=None)
        return Silence(since, min(after)) if after else None


def _is_prunable(run: Run, counted: datetime, aged: datetime) -> bool:
    if not run.state.closed:
        return False
    too_old = run.fire_time < aged and run.ended_at is not None and run.ended_at < aged
    return run.fire_time < counted or too_old
