"""The main promise, for as long as you like: `python -m tests.processes.sixty --seconds 60` prints a report.

Four uvicorn workers on one SQLite file; each fire time has one answer, and a witness outside the store agrees.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.processes.accounts import Account, account_for
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.orders import NOTHING_GIVEN_UP, Orders, every, micros, now_micros
from tests.processes.patience import wait_until
from tests.processes.witness import Line, Witness

from tickwork.clock import to_micros

WORKERS = 4
INTERVALS = {"second": 1.0, "fifth": 0.2, "each-fifth": 0.2}
STARTING = micros(1.0)
"""The time after the last worker came up in which it is still busy with itself."""


@dataclass(frozen=True, slots=True)
class Report:
    accounts: Sequence[Account]
    workers: Sequence[Line]
    """When each came up."""

    @property
    def settled_at(self) -> int:
        """From here on all workers were up, and a machine that has nothing else to do was idle."""
        return max(line.at for line in self.workers) + STARTING

    def __str__(self) -> str:
        return "\n".join(map(self._line, self.accounts))

    def _line(self, account: Account) -> str:
        late = account.lateness
        p50, p99 = (late[len(late) * part // 100] / 1000 for part in (50, 99))
        states = ", ".join(f"{number} {state}" for state, number in account.states.items())
        shares = "/".join(str(number) for _, number in account.nodes.most_common())
        not_run = len(account.not_succeeded(self.settled_at))
        return (
            f"{account.job:>10}: {account.fire_times} fire times, each with one answer: {states} "
            f"({not_run} not run after the start); by worker {shares}; late p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        )


def four_workers(crew: Crew, ledger: Ledger, witness: Witness, *, seconds: float) -> Report:
    """Serve for that long with four workers, stop, and hold ledger, witness and grid against each other."""
    start = datetime.now(UTC)
    jobs = [
        every(INTERVALS["second"], "second", func="beat_async", start=start),
        every(INTERVALS["fifth"], "fifth", start=start),
        every(INTERVALS["each-fifth"], "each-fifth", start=start, **NOTHING_GIVEN_UP),
    ]
    server = crew.serve(Orders(str(ledger.path), str(witness.path), jobs), workers=WORKERS)
    ups = wait_until(
        lambda: len(lines := witness.lines("up")) == WORKERS and lines, f"{WORKERS} workers that serve"
    )  # fmt: skip
    until = max(line.at for line in ups) + micros(seconds)
    wait_until(
        lambda: all(ledger.answered_through(job, until) for job in INTERVALS),
        f"answers up to {seconds} s", patience=seconds + 30,
    )  # fmt: skip
    server.stop()
    assert ledger.whole()
    grids = {job: micros(seconds) for job, seconds in INTERVALS.items()}
    return Report(
        [
            account_for(ledger, witness, job, start=to_micros(start), every=grid, until=until)
            for job, grid in grids.items()
        ],
        ups,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.sixty", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args(arguments).seconds
    with tempfile.TemporaryDirectory(prefix="tickwork-sixty-") as name:
        folder = Path(name)
        crew = Crew(folder)
        try:
            began = now_micros()
            report = four_workers(crew, Ledger(folder / "jobs.db"), Witness(folder / "witness"), seconds=seconds)
        except BaseException:
            print(crew.logs(), file=sys.stderr)
            raise
        finally:
            crew.dismiss()
    print(f"{WORKERS} uvicorn workers, one SQLite file, {(now_micros() - began) / 1e6:.1f} s")
    print(report)
    not_run = [row for account in report.accounts for row in account.not_succeeded(report.settled_at)]
    for row in not_run:
        print(f"not run: {row}")
    return 1 if not_run else 0


if __name__ == "__main__":
    sys.exit(main())
