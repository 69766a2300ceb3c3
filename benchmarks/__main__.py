"""`python -m benchmarks [name ...]`: measure, and print each table as it is done."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, slow_disk
from benchmarks.rounds import find_tables, measure
from benchmarks.tables import NAMES, SIZES, as_json, as_text

PEERS = (
    "apscheduler",
    "sqlalchemy",
    "croniter",
    "cronsim",
    "cron_converter",
    "pgqueuer",
    "asyncpg",
    "starsessions",
    "langchain_chroma",
)


def main() -> None:
    options = read_options()
    if options.sync_time is not None:
        slow_disk.go_on_with(options.sync_time)
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"expected the peers to measure beside, got no {' and no '.join(missing)}: run `make benchmark`")

    with tempfile.TemporaryDirectory(prefix="tickwork-benchmark-") as folder:
        description = machine.describe(Path(folder))
        print(description, flush=True)
        failed = False
        record = []
        for name in options.names or NAMES:
            for table in find_tables(name, options.size):
                began = time.monotonic()
                results, sync_times = measure(table, options.rounds, Path(folder))
                failed |= any(None in measured for measured in results.values())
                record.append({"benchmark": name, **as_json(table, results), "sync_times": sync_times})
                syncs = f"fdatasync p50 {min(sync_times):.2f}..{max(sync_times):.2f} ms"
                print(f"\n{as_text(table, results)}\n  ({time.monotonic() - began:.0f} s, {syncs})", flush=True)
    if options.json is not None:
        written = {"machine": description, "size": options.size, "tables": record}
        options.json.write_text(json.dumps(written, indent=1), "utf-8")
    sys.exit(failed)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="tickwork beside APScheduler 3.11.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is measured (some at most 3 times)")
    parser.add_argument(
        "--size", choices=SIZES, default="full", help="how much is measured; 'tiny' only shows that it works"
    )
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", help="the same as --size quick")
    parser.add_argument(
        "--sync-time", type=float, metavar="MS", help="let each sync of the disk take so many milliseconds longer"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round to FILE")
    options = parser.parse_args()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"expected names of {', '.join(NAMES)}, got {name!r}")
    if options.sync_time is not None and not 0 < options.sync_time < 1000:
        parser.error(f"--sync-time: expected milliseconds below 1000, got {options.sync_time}")
    if options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {options.rounds}")
    return options


if __name__ == "__main__":
    main()
