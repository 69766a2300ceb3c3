"""The commands that show what runs leave behind besides their rows: `log` and `state`."""

from __future__ import annotations

import argparse

from tickwork.cli.reading import run_id_of
from tickwork.cli.records import log_record, print_json
from tickwork.cli.tables import plain_text
from tickwork.cli.targets import open_store
from tickwork.cli.words import say_time
from tickwork.runlog import LogLine


def show_log(options: argparse.Namespace) -> int:
    """Show what a run has logged; of one that goes on, as it was a few seconds ago."""
    with open_store(options.store) as scheduler:
        log = scheduler.get_log(run_id_of(scheduler, options.run))
    if options.json:
        return print_json(log_record(log))
    zone = "UTC" if options.utc else None
    for line in log.beginning:
        _print_line(line, zone)
    if log.left_out:
        print(f"... {log.left_out:,} lines with {log.left_out_length:,} characters were not kept ...")
    for line in log.end:
        _print_line(line, zone)
    return 0


def show_state(options: argparse.Namespace) -> int:
    """Show what the runs of a job hand on to each other, as JSON."""
    with open_store(options.store) as scheduler:
        state = scheduler.get_state(options.job)
    return print_json(state)


def _print_line(line: LogLine, zone: str | None) -> None:
    first, *others = line.text.splitlines() or [""]
    print(plain_text(f"{say_time(line.at, zone)} {line.level:<7} {line.logger}  {first}"))
    for other in others:
        print(f"    {plain_text(other)}")
