"""What a campaign must show: its ledger, its witness and the grids that the test chose, held against each other.

The rule: nothing here asks tickwork. A finding is a sentence; a campaign without findings has passed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.processes.ledger import Row
from tests.processes.witness import Line

SECOND = 1_000_000
RAN = {"succeeded": (1,), "lost": (0, 1)}
"""How often the calls of rows in that state have begun. Of all others: never."""
ACCEPTED = 1.5
"""Seconds between what happened and the instant that is written down for it, at most."""


class Grid(NamedTuple):
    """A job as the campaign made it. Instants are microseconds."""

    job: str
    start: int
    every: int
    attempts: int
    max_instances: int
    anchored_at: int = 0
    """When the store says that it was added."""
    added_by: int = 0
    """When it was there, as its worker said."""

    def until(self, end: int) -> range:
        """Its fire times through *end*, from when it was added."""
        first = self.start
        if self.anchored_at >= first:
            first += ((self.anchored_at - first) // self.every + 1) * self.every
        return range(first, end + 1, self.every)


class Trouble(NamedTuple):
    """A node in trouble, or with None all of them."""

    node: str | None
    what: str
    begin: int
    end: int


class Evidence(NamedTuple):
    rows: Sequence[Row]
    lines: Sequence[Line]
    troubles: Sequence[Trouble]
    grids: Sequence[Grid]
    node_of: Mapping[int, str]
    """By process."""
    healed_at: int
    punctual_from: int
    """What was due from here on had to begin in time."""
    until: int


def check(evidence: Evidence, *, latest: float) -> list[str]:
    """What is wrong; *latest* is how many seconds a run may be late after all was healed."""
    return [finding for law in LAWS for finding in law(evidence)] + [*_punctual(evidence, latest)]


def lateness(evidence: Evidence) -> list[float]:
    """Seconds by which runs began late that were due after all was healed, the smallest first."""
    late = (
        line.at - line.fire_time
        for line in _starts(evidence)
        if line.attempt == 1 and line.fire_time >= evidence.punctual_from
    )
    return sorted(one / SECOND for one in late)


def overlapping(evidence: Evidence) -> list[tuple[Line, Row]]:
    """Second attempts that began while a call that was taken for lost went on: documented, after a stall."""
    ends = {_key(line): line.at for line in evidence.lines if line.what == "end"}
    lost = {_key(row): row for row in evidence.rows if row.state == "lost"}
    found = []
    for line in _starts(evidence):
        before = (line.job, line.fire_time, line.attempt - 1)
        if line.attempt > 1 and before in lost and ends.get(before, 0) > line.at:
            found.append((line, lost[before]))
    return found


def _nothing_is_lost_or_invented(evidence: Evidence) -> Iterator[str]:
    """Each fire time of each grid has exactly one answer, and the ledger knows no other."""
    for grid in evidence.grids:
        rows = [row for row in evidence.rows if row.job == grid.job and row.attempt == 1]
        answers = Counter(instant for row in rows for instant in range(row.fire_time, row.last + 1, grid.every))
        wanted = grid.until(evidence.until)
        yield from (
            f"{grid.job}: the fire time {instant} has no answer" for instant in wanted if instant not in answers
        )
        yield from (f"{grid.job}: {instant} is answered {n} times" for instant, n in answers.items() if n > 1)
        for instant in answers:
            if instant < wanted.start or (instant - grid.start) % grid.every:
                yield f"{grid.job}: {instant} is no fire time of it"
    known = {grid.job for grid in evidence.grids}
    yield from (f"{row.job}: no such job" for row in evidence.rows if row.job not in known)


def _nothing_was_added_late(evidence: Evidence) -> Iterator[str]:
    """From when on a job counts is the one thing that the store is asked for, so it is held against the worker's word."""
    for grid in evidence.grids:
        if grid.anchored_at > grid.added_by:
            late = (grid.anchored_at - grid.added_by) / SECOND
            yield f"{grid.job}: its fire times count from {late:.3f} s after it was added"


def _all_is_closed_with_a_reason(evidence: Evidence) -> Iterator[str]:
    for row in evidence.rows:
        if row.fire_time <= evidence.until and not row.closed:
            yield f"{_name(row)} is {row.state} at the end"
        if row.closed and row.state != "succeeded" and not row.reason:
            yield f"{_name(row)} is {row.state}, and does not say why"
        if row.closed and row.state not in (*RAN, "skipped"):
            yield f"{_name(row)} is {row.state}, which nothing here leads to: {row.reason}"


def _the_witness_agrees(evidence: Evidence) -> Iterator[str]:
    """What the ledger says began, began once; what it says did not, did not; nothing else began; what succeeded, ended."""
    began, ended = (Counter(_key(line) for line in evidence.lines if line.what == what) for what in ("start", "end"))
    rows = {_key(row): row for row in evidence.rows}
    yield from (f"{key} began, and is not in the ledger" for key in began if key not in rows)
    for key, row in rows.items():
        if began[key] > 1:
            yield f"{_name(row)} began {began[key]} times"
        elif row.closed and began[key] not in RAN.get(row.state, (0,)):
            yield f"{_name(row)} is {row.state}, and began {began[key]} times"
        if row.state == "succeeded" and ended[key] != 1:
            yield f"{_name(row)} succeeded, and ended {ended[key]} times"


def _attempts_follow_a_loss(evidence: Evidence) -> Iterator[str]:
    attempts: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in evidence.rows:
        attempts[row.job, row.fire_time].append(row)
    most = {grid.job: grid.attempts for grid in evidence.grids}
    for rows in attempts.values():
        rows.sort(key=lambda row: row.attempt)
        if [row.attempt for row in rows] != [*range(1, len(rows) + 1)] or len(rows) > most.get(rows[0].job, 0):
            yield f"{_name(rows[0])} has the attempts {[row.attempt for row in rows]}"
        yield from (f"{_name(row)} is {row.state}, and was tried again" for row in rows[:-1] if row.state != "lost")


def _what_is_lost_had_its_node_in_trouble(evidence: Evidence) -> Iterator[str]:
    for row in evidence.rows:
        if row.state == "lost" and not _was_in_trouble(evidence, row.node, row.fire_time, row.ended_at or 0):
            yield f"{_name(row)} is lost, and nothing was wrong with node {row.node}: {row.reason}"


def _no_more_run_at_once_than_may(evidence: Evidence) -> Iterator[str]:
    """Calls that are taken for lost count no more from then on."""
    ends = {_key(line): line.at for line in evidence.lines if line.what == "end"}
    rows = {_key(row): row for row in evidence.rows}
    for grid in evidence.grids:
        moves: list[tuple[int, int]] = []
        for line in _starts(evidence):
            row = rows.get(_key(line))
            if line.job == grid.job and row is not None:
                lost_at = row.ended_at if row.state == "lost" else None
                end = min(
                    at for at in (ends.get(_key(line)), lost_at, evidence.until + 3600 * SECOND) if at is not None
                )
                moves += [(line.at, 1), (end, -1)] if end > line.at else []
        running = 0
        for at, change in sorted(moves):
            running += change
            if running > grid.max_instances:
                yield f"{grid.job}: {running} ran at once at {at}, and max_instances is {grid.max_instances}"


def _what_was_skipped_has_a_true_reason(evidence: Evidence) -> Iterator[str]:
    rows = {_key(row): row for row in evidence.rows}
    every = {grid.job: grid.every for grid in evidence.grids}
    for row in evidence.rows:
        reason, decided_at = row.reason or "", row.ended_at or 0
        if row.state != "skipped":
            continue
        if reason.startswith("coalesced"):
            latest = rows.get((row.job, row.last + every[row.job], 1))
            if latest is None or latest.state in ("skipped", "missed"):
                yield f"{_name(row)} made way for a run that is not there: {reason}"
        elif reason.startswith("max_instances is "):
            other = _named_in(reason, row.job, rows)
            gone_at = None if other is None else other.ended_at or evidence.until
            if other is None or gone_at is None or other.fire_time > decided_at:
                yield f"{_name(row)} names a run that is not there: {reason}"
            elif gone_at < decided_at - ACCEPTED * SECOND and not _was_in_trouble(
                evidence, other.node, gone_at, decided_at
            ):
                yield f"{_name(row)} was decided {(decided_at - gone_at) / SECOND:.3f} s after what it names: {reason}"
        else:
            yield f"{_name(row)} is skipped for a reason that nothing here leads to: {reason}"


def _nothing_is_fired_by_a_wrong_clock(evidence: Evidence) -> Iterator[str]:
    """A node begins nothing from a second and a half after its clock was set: what it held has begun by then."""
    for trouble in evidence.troubles:
        if trouble.what == "shift":
            for line in _starts(evidence):
                if (
                    evidence.node_of.get(line.pid) == trouble.node
                    and trouble.begin + 1.5 * SECOND < line.at < trouble.end
                ):
                    yield f"{_key(line)} began by a wrong clock"


def _punctual(evidence: Evidence, latest: float) -> Iterator[str]:
    for line in _starts(evidence):
        late = (line.at - line.fire_time) / SECOND
        if line.fire_time >= evidence.punctual_from and line.attempt == 1 and late > latest:
            yield f"{_key(line)} began {late:.2f} s late, when all was well again"
        if late < 0:
            yield f"{_key(line)} began {-late:.6f} s early"
    if not any(line.at > evidence.punctual_from for line in _starts(evidence)):
        yield "nothing began after all was healed"


LAWS = (
    _nothing_is_lost_or_invented,
    _nothing_was_added_late,
    _all_is_closed_with_a_reason,
    _the_witness_agrees,
    _attempts_follow_a_loss,
    _what_is_lost_had_its_node_in_trouble,
    _no_more_run_at_once_than_may,
    _what_was_skipped_has_a_true_reason,
    _nothing_is_fired_by_a_wrong_clock,
)


def _starts(evidence: Evidence) -> Iterable[Line]:
    return (line for line in evidence.lines if line.what == "start")


def _key(one: Row | Line) -> tuple[str, int, int]:
    return one.job, one.fire_time, one.attempt


def _name(row: Row) -> str:
    return f"{row.job} at {row.fire_time}, attempt {row.attempt},"


def _was_in_trouble(evidence: Evidence, node: str | None, since: int, until: int) -> bool:
    """A round writes down the instant at which it began, so what it saw may be a little younger."""
    until += round(ACCEPTED * SECOND)
    return any(
        trouble.node in (None, node) and trouble.begin <= until and trouble.end >= since
        for trouble in evidence.troubles
    )


def _named_in(reason: str, job: str, rows: Mapping[tuple[str, int, int], Row]) -> Row | None:
    """The run that a reason names: `... and run 18c5-1795765732352034-1 was still running`."""
    _, fire_time, attempt = reason.partition(" and run ")[2].split(" ")[0].split("-")
    return rows.get((job, int(fire_time), int(attempt)))
