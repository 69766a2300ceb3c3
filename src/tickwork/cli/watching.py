"""The progress of runs, as `tickwork run` shows it: bars in a terminal, or without one or rich a line now and then."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Protocol

from tickwork.cli.words import say_progress
from tickwork.run import Progress, Run
from tickwork.scheduler import Scheduler

LAST_GLANCE = 2.0
"""Seconds that a display may take to clean up."""

log = logging.getLogger("tickwork.cli")


class Display(Protocol):
    every: float
    """Seconds from one glance to the next."""

    def show(self, runs: Sequence[Run]) -> None:
        """Show these runs, which go on and have told their progress, and no others."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class Lines:
    """A line in the log for each run that has come further."""

    every = 10.0

    def __init__(self) -> None:
        self._told: dict[str, Progress | None] = {}

    def show(self, runs: Sequence[Run]) -> None:
        for run in runs:
            if run.progress is not None and run.progress != self._told.get(run.id):
                log.info("%s: %s", run.job_id, say_progress(run.progress))
        self._told = {run.id: run.progress for run in runs}

    def close(self) -> None:
        """A log stays."""


@contextmanager
def progress_shown(scheduler: Scheduler) -> Iterator[None]:
    """Show how far the runs of this process are, as long as this goes on."""
    done = Event()
    watcher = Thread(target=_watch, args=(scheduler, choose_display(), done), name="tickwork-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join(LAST_GLANCE)


def choose_display() -> Display:
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from tickwork.cli.bars import Bars  # noqa: PLC0415  only a terminal needs rich
        except ModuleNotFoundError:  # tickwork[cli] brings it
            return Lines()
        return Bars()
    return Lines()


def _watch(scheduler: Scheduler, display: Display, done: Event) -> None:
    try:
        while not done.wait(display.every):
            display.show(scheduler.progressing())
    except Exception:
        log.exception("the progress of runs is shown no more")
    finally:
        display.close()
