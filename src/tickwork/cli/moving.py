"""The command that moves house: `move`."""

from __future__ import annotations

import argparse
import importlib.util
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from tickwork.cli.arguments import UsageError
from tickwork.cli.records import print_json
from tickwork.cli.tables import plain_text
from tickwork.cli.targets import check_exists, check_place
from tickwork.cli.words import say_duration
from tickwork.mover import Moved, Mover, Stage, Step, abort_move
from tickwork.mover import move as move_house
from tickwork.stores import make_store
from tickwork.stores.base import Store

SESSIONS = "select 1 from sqlite_master where name = 'tickwork_sessions_schema'"


class Display(Protocol):
    def show(self, step: Step) -> None:
        """Show how far a move has come."""
        ...

    def close(self) -> None: ...


class Lines:
    """A line for each stage."""

    def __init__(self) -> None:
        self._stage: Stage | None = None

    def show(self, step: Step) -> None:
        if step.stage is not self._stage and step.stage is not Stage.MOVED:
            self._stage = step.stage
            print(f"tickwork: {step.stage}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to do: lines stay."""


def move(options: argparse.Namespace) -> int:
    """Move all jobs and the whole ledger from the store OLD to NEW, which is empty; nodes may be at work on OLD.

    It copies while OLD fires on, then lets it fire nothing more, waits for what runs there, and copies the rest: from
    then on NEW fires, and OLD refuses to. Killed at any time it can be started again; --abort undoes it as long as NEW
    does not fire. Sessions and documents are not moved.
    """
    if options.abort and options.dry_run:
        raise UsageError("expected --abort or --dry-run, got both: see `tickwork move --help`")
    with closing(make_store(options.old)) as old, closing(make_store(options.new)) as new:
        check_exists(old)
        if new.location == "memory":
            check_place(new.location)
        if options.abort:
            return _abort(options, old, new)
        moved = _look(old, new) if options.dry_run else _move(options, old, new)
    return _tell(options, moved)


def _move(options: argparse.Namespace, old: Store, new: Store) -> Moved:
    display = _display()
    try:
        return move_house(old, new, wait=options.wait, tell=display.show)
    finally:
        display.close()


def _look(old: Store, new: Store) -> Moved:
    """What would be moved; looking makes no file."""
    path = Path(new.location.removeprefix("sqlite:///"))
    if new.location.startswith("sqlite:///") and not path.exists():
        old.open()
        return Moved(old.location, new.location, Mover(old, make_store(None)).check())
    return move_house(old, new, dry_run=True)


def _abort(options: argparse.Namespace, old: Store, new: Store) -> int:
    abort_move(old, new)
    if options.json:
        return print_json({"aborted": True, "old": old.location, "new": new.location})
    print(plain_text(f"undone: {old.location} fires again, and nothing is in {new.location}"))
    return 0


def _tell(options: argparse.Namespace, moved: Moved) -> int:
    left_behind = _sessions_beside(moved.old)
    if options.json:
        return print_json({
            "moved": not options.dry_run, "old": moved.old, "new": moved.new, **moved.holdings._asdict(),
            "pause": None if moved.pause is None else moved.pause.total_seconds(), "sessions_left": left_behind,
        })  # fmt: skip
    jobs, runs, backfills = (f"{number:,}" for number in moved.holdings)
    held = f"{jobs} jobs, {runs} runs and {backfills} backfills"
    if options.dry_run:
        print(plain_text(f"{held} would be moved from {moved.old} to {moved.new}"))
    elif moved.pause is None:
        print(plain_text(f"moved already: {moved.new} has {held}, and fires"))
    else:
        print(
            plain_text(f"moved: {moved.new} has {held}, and fires; neither store did for {say_duration(moved.pause)}")
        )
    if left_behind:
        print(plain_text(f"the sessions in {moved.old} stay there: they are not moved"))
    return 0


def _sessions_beside(location: str) -> bool:
    """Whether sessions are kept in the same SQLite file."""
    if not location.startswith("sqlite:///"):
        return False
    path = Path(location.removeprefix("sqlite:///"))
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(SESSIONS).fetchone() is not None
    return False


def _display() -> Display:
    """A bar in a terminal, if rich is installed; otherwise lines."""
    if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
        from tickwork.cli.bars import MoveBar  # noqa: PLC0415  only a terminal needs rich

        return MoveBar()
    return Lines()
