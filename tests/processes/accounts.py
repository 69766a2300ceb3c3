"""The accounts: the ledger, the witness and the grid, held against each other.

The rule: the grid is computed here, from a start that the test chose. Each of its fire times has one
answer in the ledger, and each call that the witness saw has its row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.processes.ledger import Ledger, Row
from tests.processes.witness import Line, Witness

RETRIED = {"failed", "timed_out", "lost"}
RAN = {"succeeded", "failed", "timed_out"}
BEGAN_PERHAPS = {"lost", "running"}


@dataclass(frozen=True, slots=True)
class Account:
    """What the ledger says of one job, found to be true."""

    job: str
    fire_times: int
    rows: Sequence[Row]

    @property
    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.rows)

    @property
    def nodes(self) -> Counter[str]:
        return Counter(row.node for row in self.rows if row.node is not None)

    @property
    def lateness(self) -> list[int]:
        """Of each call, in microseconds, the smallest first."""
        return sorted(row.started_at - row.fire_time for row in self.rows if row.started_at is not None) or [0]

    def not_succeeded(self, since: int = 0) -> list[Row]:
        """Fire times of which no attempt succeeded."""
        done = {row.fire_time for row in self.rows if row.state == "succeeded"}
        return [row for row in self.rows if row.last >= since and row.fire_time not in done]


def account_for(ledger: Ledger, witness: Witness, job: str, *, start: int, every: int, until: int) -> Account:
    """Each fire time from when *job* was added up to *until* has exactly one answer, and no call was made twice.

    *start* and *every* are the grid's, in microseconds.
    """
    rows = ledger.rows(job)
    first = _first_after(ledger.anchored_at(job), start, every)
    grid = range(first, until + 1, every)
    first_attempts = [row for row in rows if row.attempt == 1]
    answers = Counter(instant for row in first_attempts for instant in range(row.fire_time, row.last + 1, every))

    assert [instant for instant in grid if instant not in answers] == [], f"{job}: fire times without an answer"
    assert [instant for instant, number in answers.items() if number > 1] == [], f"{job}: fire times answered twice"
    assert [instant for instant in answers if instant < first or (instant - start) % every] == [], f"{job}: invented"
    assert [row for row in rows if row.fire_time <= until and not row.closed] == [], f"{job}: rows that nobody closed"
    assert [row for row in rows if row.closed and row.state != "succeeded" and not row.reason] == [], f"{job}: why?"
    following = ledger.next_fire_time(job)
    assert following is None or following == max(answers) + every, f"{job}: a gap before its next fire time"
    check_attempts(rows)
    check_testimony(rows, witness.lines("start", job))
    return Account(job, len(grid), [row for row in rows if row.fire_time <= until])


def check_attempts(rows: Iterable[Row]) -> None:
    """Attempts are numbered from 1, and follow only those that did not succeed."""
    attempts: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        attempts.setdefault((row.job, row.fire_time, row.origin), []).append(row)
    for tried in attempts.values():
        assert [row.attempt for row in tried] == [*range(1, len(tried) + 1)], tried
        assert all(row.state in RETRIED for row in tried[:-1]), tried


def check_testimony(rows: Iterable[Row], starts: Iterable[Line]) -> None:
    """What the ledger says began, began once; what it says did not begin, did not; and nothing else began."""
    seen = Counter((start.job, start.fire_time, start.attempt) for start in starts)
    known = {(row.job, row.fire_time, row.attempt): row for row in rows}
    allowed = {key: _calls(row) for key, row in known.items()}

    assert {key: number for key, number in seen.items() if number > 1} == {}, "calls made twice"
    assert [key for key in seen if key not in known] == [], "calls that are not in the ledger"
    assert [known[key] for key, numbers in allowed.items() if seen[key] not in numbers] == [], "the witness disagrees"


def _calls(row: Row) -> tuple[int, ...]:
    if row.state in RAN:
        return (1,)
    return (0, 1) if row.state in BEGAN_PERHAPS else (0,)


def _first_after(instant: int, start: int, every: int) -> int:
    return start if instant < start else start + ((instant - start) // every + 1) * every
