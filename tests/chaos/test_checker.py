"""The checker finds what it is there to find: of a history without a flaw nothing, and each flaw that is put into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.chaos.checker import SECOND, Evidence, Grid, Trouble, check, overlapping
from tests.processes.ledger import Row
from tests.processes.witness import Line

LOST, SLOW = "it was cut off", "max_instances is 2, and run 1-6000000-1 was still running"


def row(
    at: int, state: str = "succeeded", *, job: str = "job", attempt: int = 1, ended: float | None = None, **fields: Any
) -> Row:
    ended_at = round((at + 0.1 if ended is None else ended) * SECOND)
    known = {"node": None if state == "skipped" else "a", "reason": None, "through": None}
    values = known | ({"ended_at": None} if state == "running" else {"ended_at": ended_at}) | fields
    return Row(
        number=0,
        job=job,
        fire_time=at * SECOND,
        attempt=attempt,
        origin="schedule",
        state=state,
        version=2,
        started_at=None,
        **values,
    )


def lines(at: int, end: float, *, job: str = "job", attempt: int = 1, began: float | None = None) -> list[Line]:
    called = (1, job, at * SECOND, attempt)
    return [Line(what, round(instant * SECOND), *called) for what, instant in (("start", began or at), ("end", end))]


def flawless() -> Evidence:
    """A job of each second, of which one call was lost and tried again beside it; and one of two, which overlaps itself."""
    rows = [row(at) for at in (1, 2, 5, 6, 7, 8, 9)]
    rows += [
        row(3, "skipped", reason="coalesced: one of them was run", ended=4.0, node=None),
        row(4, "lost", reason=LOST, ended=5.0),
    ]
    rows.append(row(4, attempt=2, ended=5.5))
    rows += [row(at, job="slow", ended=at + 3.5) for at in (2, 4, 6)]
    rows.append(row(8, "skipped", job="slow", reason=SLOW, ended=8.0))
    said = [line for at in (1, 2, 5, 6, 7, 8, 9) for line in lines(at, at + 0.1)]
    said += [*lines(4, 9.0), *lines(4, 5.5, attempt=2, began=5.2)]
    said += [line for at in (2, 4, 6) for line in lines(at, at + 3.5, job="slow")]
    troubles = [Trouble("a", "hang", 4 * SECOND, 5 * SECOND), Trouble("b", "shift", 0, 9 * SECOND)]
    grids = [Grid("job", SECOND, SECOND, 2, 1, SECOND // 2, SECOND), Grid("slow", 2 * SECOND, 2 * SECOND, 1, 2)]
    return Evidence(rows, said, troubles, grids, {1: "a", 2: "b"}, 5 * SECOND, 6 * SECOND, 9 * SECOND)


def test_a_history_without_a_flaw_has_no_findings() -> None:
    evidence = flawless()

    assert check(evidence, latest=0.5) == []
    assert [(line.attempt, lost.reason) for line, lost in overlapping(evidence)] == [(2, LOST)]


def without(job: str, at: int) -> Callable[[Evidence], Evidence]:
    return lambda evidence: evidence._replace(
        rows=[row for row in evidence.rows if (row.job, row.fire_time) != (job, at * SECOND)]
    )


def changed(job: str, at: int, **fields: Any) -> Callable[[Evidence], Evidence]:
    return lambda evidence: evidence._replace(rows=[
        row._replace(**fields) if (row.job, row.fire_time, row.attempt) == (job, at * SECOND, 1) else row for row in evidence.rows
    ])  # fmt: skip


def more(*rows: Row) -> Callable[[Evidence], Evidence]:
    return lambda evidence: evidence._replace(rows=[*evidence.rows, *rows])


def anchored(at: int) -> Callable[[Evidence], Evidence]:
    """The store says that the first job was added then, and so has no answer to what was due before."""
    return lambda evidence: evidence._replace(
        grids=[evidence.grids[0]._replace(anchored_at=at * SECOND), *evidence.grids[1:]],
        rows=[row for row in evidence.rows if row.job != "job" or row.fire_time > at * SECOND],
        lines=[line for line in evidence.lines if line.job != "job" or line.fire_time > at * SECOND],
    )


def said(*new: Line) -> Callable[[Evidence], Evidence]:
    return lambda evidence: evidence._replace(lines=[*evidence.lines, *new])


@pytest.mark.parametrize(
    ("flaw", "finding"),
    [
        (without("job", 7), "job: the fire time 7000000 has no answer"),
        (more(row(7)), "job: 7000000 is answered 2 times"),
        (anchored(7), "job: its fire times count from 6.000 s after it was added"),
        (more(row(7)._replace(fire_time=7_500_000)), "job: 7500000 is no fire time of it"),
        (more(row(7, job="other")), "other: no such job"),
        (changed("job", 7, state="running"), "job at 7000000, attempt 1, is running at the end"),
        (changed("job", 4, reason=""), "is lost, and does not say why"),
        (changed("job", 7, state="missed", reason="late"), "which nothing here leads to"),
        (said(*lines(7, 8)), "job at 7000000, attempt 1, began 2 times"),
        (said(*lines(3, 4)), "job at 3000000, attempt 1, is skipped, and began 1 times"),
        (said(*lines(20, 21)), "('job', 20000000, 1) began, and is not in the ledger"),
        (said(lines(7, 8)[1]), "job at 7000000, attempt 1, succeeded, and ended 2 times"),
        (more(row(7, attempt=2)), "job at 7000000, attempt 1, is succeeded, and was tried again"),
        (more(row(7, attempt=3)), "job at 7000000, attempt 1, has the attempts [1, 3]"),
        (more(row(4, attempt=3)), "job at 4000000, attempt 1, has the attempts [1, 2, 3]"),
        (changed("job", 4, node="c"), "is lost, and nothing was wrong with node c"),
        (said(*lines(8, 9, job="slow", began=7.0)), "slow: 3 ran at once at 7000000"),
        (changed("job", 3, through=4 * SECOND), "job: 4000000 is answered 2 times"),
        (changed("job", 3, reason="coalesced", through=9 * SECOND), "made way for a run that is not there"),
        (changed("slow", 8, reason=SLOW.replace("6000000", "7000000")), "names a run that is not there"),
        (changed("slow", 6, ended_at=6 * SECOND, node="c"), "was decided 2.000 s after what it names"),
        (changed("slow", 8, reason="no"), "is skipped for a reason that nothing here leads to: no"),
        (said(Line("start", 8 * SECOND, 2, "job", 8 * SECOND, 1)), "('job', 8000000, 1) began by a wrong clock"),
        (said(*lines(9, 10, began=9.9)), "('job', 9000000, 1) began 0.90 s late"),
        (said(*lines(9, 10, began=8.9)), "('job', 9000000, 1) began 0.100000 s early"),
        (lambda evidence: evidence._replace(punctual_from=20 * SECOND), "nothing began after all was healed"),
    ],
)  # fmt: skip
def test_each_flaw_is_found(flaw: Callable[[Evidence], Evidence], finding: str) -> None:
    findings = check(flaw(flawless()), latest=0.5)

    assert any(finding in found for found in findings), findings
