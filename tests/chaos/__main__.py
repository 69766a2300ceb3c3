"""`python -m tests.chaos`: campaigns of real faults, seed by seed; `make chaos` writes what came of them into docs/chaos.md.

--store sqlite --seed 7 --seconds 20     replays one campaign: the same faults at the same times
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.campaign import LATEST, LEASE, POLL, QUIET, SETTLE, WORKERS, Report, run
from tests.chaos.places import PLACES

HEAD = f"""# Chaos

Written by `make chaos`. Each campaign starts {WORKERS} worker processes on a real store, breaks them, their network and their server as its seed
says, heals all, and holds the ledger against a witness outside of the store and against fire times that were reckoned apart. Lease {LEASE:.0f} s,
poll {POLL} s; what is due from {SETTLE:.0f} s after the last fault on, for {QUIET:.0f} s, has to begin within {LATEST} s.

A campaign passes if: each fire time has exactly one answer, and nothing else has one; no attempt began twice; what the ledger says of a call is
what the witness saw; whatever was lost had its node in trouble; `max_instances` held; each reason for a skip is true; a node with a wrong clock
began nothing; and all was punctual again. *Beside a stall* counts second attempts that began while the first, taken for lost, went on
in a process that had stood still or was cut off: that is documented, and its late outcome was dropped.

| store | seed | faults | rows of the ledger | calls begun | beside a stall | latest afterwards | findings |
|---|---|---|---|---|---|---|---|
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(arguments)
    reports = []
    for store in options.store or PLACES:
        for seed in options.seed or range(options.first, options.first + options.seeds):
            folder = Path(tempfile.mkdtemp(prefix=f"tickwork-chaos-{store}-{seed}-"))
            report = run(seed, store, options.seconds, folder)
            reports.append(report)
            print(line_of(report), flush=True)
            for finding in report.findings:
                print(f"    {finding}")
            if report.findings:
                print(f"  again: {replay(report, options.seconds)}    (logs: {folder})", flush=True)
            else:
                shutil.rmtree(folder)
    if options.report is not None:
        options.report.write_text(HEAD + "".join(f"{line_of(one)}\n" for one in reports) + total(reports))
    return 1 if any(report.findings for report in reports) else 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break it, and see whether a tick is lost."
    )
    parser.add_argument("--store", action="append", choices=[*PLACES], help="only this store; may be repeated")
    parser.add_argument("--seed", action="append", type=int, help="only this seed; may be repeated")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long faults go on, in each campaign")
    parser.add_argument("--report", type=Path, help="where the table is written")
    return parser.parse_args(arguments)


def line_of(report: Report) -> str:
    faults, rows = (
        ", ".join(f"{n} {what}" for what, n in sorted(found.items())) for found in (report.faults, report.rows)
    )
    cells = (
        report.store, str(report.seed), faults, rows, f"{report.starts:,}", str(report.overlaps),
        f"{report.worst:.3f} s", str(len(report.findings)),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def total(reports: Sequence[Report]) -> str:
    faults = sum((report.faults for report in reports), Counter[str]())
    return (
        f"\n{len(reports)} campaigns, {faults.total()} faults ({', '.join(f'{n} {what}' for what, n in sorted(faults.items()))}), "
        f"{sum(report.starts for report in reports):,} calls, {sum(len(report.findings) for report in reports)} findings.\n"
    )


def replay(report: Report, seconds: float) -> str:
    return f"python -m tests.chaos --store {report.store} --seed {report.seed} --seconds {seconds:g}"


if __name__ == "__main__":
    sys.exit(main())
