"""Progress bars in a terminal, drawn by rich."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tickwork.cli.tables import plain_text
from tickwork.cli.words import say_progress
from tickwork.mover import Step
from tickwork.run import Run

MAX_BARS = 20
"""More runs at once than that go on unseen: no terminal is endless."""


class Bars:
    """A bar for each run that tells its progress, below what is logged meanwhile."""

    every = 0.25

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console or _Console(), auto_refresh=False, transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )  # fmt: skip
        self._bars: dict[str, TaskID] = {}
        self._streams: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []

    def show(self, runs: Sequence[Run]) -> None:
        shown = {run.id: run for run in runs[:MAX_BARS]}
        for run_id in self._bars.keys() - shown.keys():
            self._progress.remove_task(self._bars.pop(run_id))
        for run in shown.values():
            self._show(run)
        if shown and not self._progress.live.is_started:
            self._start()
        if self._progress.live.is_started:
            self._progress.refresh()
            if not shown:
                self.close()

    def close(self) -> None:
        if self._progress.live.is_started:
            self._progress.stop()
        while self._streams:
            handler, stream = self._streams.pop()
            handler.setStream(stream)

    def _show(self, run: Run) -> None:
        assert run.progress is not None
        if run.id not in self._bars:
            self._bars[run.id] = self._progress.add_task(escape(plain_text(run.job_id)), said="")
        self._progress.update(
            self._bars[run.id], completed=run.progress.done, total=run.progress.total,
            said=escape(plain_text(say_progress(run.progress))),
        )  # fmt: skip

    def _start(self) -> None:
        """Draw from now on. What logs to the terminal does so through rich meanwhile: lines stand above bars."""
        streams = {sys.stdout: "stdout", sys.stderr: "stderr"}
        handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
        self._progress.start()
        for handler in handlers:
            if handler.stream in streams:
                self._streams.append((handler, handler.stream))
                handler.setStream(getattr(sys, streams[handler.stream]))


class MoveBar:
    """One bar for a move, which says what is being done; on stderr, so that stdout is the answer alone."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn(),
            console=console or _Console(stderr=True), transient=True,
        )  # fmt: skip
        self._bar = self._progress.add_task("", total=None)
        self._progress.start()

    def show(self, step: Step) -> None:
        self._progress.update(self._bar, description=step.stage.value, completed=step.done, total=step.total or None)

    def close(self) -> None:
        self._progress.stop()


class _Console(Console):
    """A terminal whose cursor stays visible: a process that is ended by a signal could not bring it back."""

    def show_cursor(self, show: bool = True) -> bool:
        return False
