"""An outage of the store, made for real; and the law that holds in each of them."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.processes.accounts import account_for, check_attempts, check_testimony
from tests.processes.crew import Crew, Worker
from tests.processes.ledger import Ledger, Row
from tests.processes.orders import Orders, every, micros, now_micros, waiting_at
from tests.processes.patience import NAP, wait_until
from tests.processes.witness import Witness

from tickwork.clock import to_micros

WORKERS = 2
LEASE, POLL = 2.0, 1.0
AHEAD = micros(0.05)
"""What was claimed before the outage may begin in it."""
BEATS = {"coalesced": {}, "caught-up": {"coalesce": False}}
"""The jobs of each 0.2 s, and their policies: the defaults, and a run for each fire time."""
BEAT = 0.2

HOLD_LOCK = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
file.execute("begin exclusive")
print("locked", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Recovery:
    noticed: float
    """Seconds from the fault until every worker's health told of it."""
    lasted: float
    resumed: float
    """Seconds from its end to the first call."""
    not_run: Sequence[Row]
    told: str

    def __str__(self) -> str:
        return (
            f"noticed by all after {self.noticed:.2f} s, lasted {self.lasted:.2f} s, fired again after {self.resumed:.2f} s, "
            f"{len(self.not_run)} rows answer for what was not run"
        )


def sit_out(
    crew: Crew, orders: Orders, witness: Witness, fail: Callable[[Sequence[Worker]], None], mend: Callable[[], None],
    *, seconds: float, gates: Path,
) -> Recovery:  # fmt: skip
    """Fail the store of two workers for so long: firing pauses, they say why, it resumes, and nothing is lost.

    Two long runs began before: one ends within the outage, one after it.
    """
    ledger, start = Ledger(Path(orders.store)), datetime.now(UTC)
    jobs = [every(BEAT, id, start=start, **policies) for id, policies in BEATS.items()]
    jobs += [waiting_at(gates / "within", "within"), waiting_at(gates / "after", "after")]
    orders.jobs.extend(jobs)
    workers = crew.hire(orders, WORKERS)
    wait_until(lambda: {line.job for line in witness.lines("start")} >= {*BEATS, "within", "after"}, "all jobs at work")
    wait_until(lambda: {row.node for row in ledger.rows()} >= {worker.node for worker in workers}, "both at work")
    threads = [worker.ask("threads") for worker in workers]

    failed_at = now_micros()
    fail(workers)
    told = wait_until(lambda: outages(workers), "workers that tell of the outage")
    told_at = now_micros()
    (gates / "within").touch()
    while now_micros() < max(failed_at + micros(seconds), told_at + micros(0.5)):
        assert outages(workers), "the store had failed, and a worker said that it had not"
        assert all(worker.ask("health")["running"] for worker in workers)
        time.sleep(NAP)
    mended_at = now_micros()
    mend()
    wait_until(lambda: not any(worker.ask("health")["outage"] for worker in workers), "workers that tell of the end")
    wait_until(lambda: any(row.fire_time > mended_at and row.closed for row in ledger.rows()), "new runs")
    (gates / "after").touch()
    wait_until(lambda: all(row.closed for row in ledger.rows("after")), "the end of the run that outlived it")
    until = now_micros()
    wait_until(lambda: all(ledger.answered_through(id, until) for id in BEATS), "ticks that go on")
    assert [{*before} - {*worker.ask("threads")} for worker, before in zip(workers, threads, strict=True)] == [
        set()
    ] * WORKERS
    assert all(worker.ask("health")["running"] for worker in workers)
    for worker in workers:
        worker.stop()

    starts = witness.lines("start")
    assert [line for line in starts if told_at < line.at < mended_at and line.fire_time > told_at + AHEAD] == []
    grids = [
        account_for(ledger, witness, id, start=to_micros(start), every=micros(BEAT), until=until) for id in BEATS
    ]  # fmt: skip
    coalesced, caught_up = grids
    assert caught_up.states == {"succeeded": caught_up.fire_times}
    assert coalesced.states.keys() <= {"succeeded", "skipped"}
    others = [*ledger.rows("within"), *ledger.rows("after")]
    assert [(row.job, row.state) for row in others] == [("within", "succeeded"), ("after", "succeeded")]
    check_attempts(others)
    check_testimony(others, [line for line in starts if line.job in ("within", "after")])
    assert ledger.whole()
    resumed = min(line.at for line in starts if line.at > mended_at)
    return Recovery(
        (told_at - failed_at) / 1e6, (mended_at - failed_at) / 1e6, (resumed - mended_at) / 1e6,
        coalesced.not_succeeded(), told[0],
    )  # fmt: skip


def outages(workers: Sequence[Worker]) -> list[str] | None:
    """What the workers say is wrong, if each of them says it."""
    told = [worker.ask("health")["outage"] for worker in workers]
    return told if all(told) else None


def fill(folder: Path) -> Path:
    """Fill the file system of *folder* to the last block; the file to remove."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def limit_file_size(workers: Sequence[Worker], size: int) -> None:
    """Let these processes make no file larger than that: to SQLite it is a disk that is full."""
    for worker in workers:
        _, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 4 MiB, or None where this user may not mount one."""
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tickwork-test", folder], check=False, capture_output=True
    ).returncode  # fmt: skip
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)
