"""What there is to measure of runs, whichever library counts it; with names that are few, whatever jobs do."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

from tickwork.events import Event, JobFired, RunSettled
from tickwork.run import Run, RunState

MAX_JOBS = 200
"""How many jobs are told apart; further ones are counted together."""
MAX_ERRORS = 50
OTHER = "_OTHER"
"""OpenTelemetry's word for what is one too many, or has no name."""
ONE_OFF = "_ONE_OFF"
"""All jobs with a made-up id, each of which runs once."""
SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0)
"""Where lateness and duration are told apart: from what a healthy node is late to what runs overnight."""

_MADE_UP = re.compile(r"[0-9a-f]{16}")
_RAISED = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")


def closed_runs(event: Event) -> Sequence[Run]:
    """The runs that are closed with this event, each of which is told of once: by the node that closed it."""
    match event:
        case RunSettled(run) if run.state.closed:
            return (run,)
        case JobFired(_, runs):
            return [run for run in runs if run.state.closed]
        case _:
            return ()


def error_type(run: Run) -> str | None:
    """What an error is an error of: the exception's class, or the state. None: it is none."""
    match run.state:
        case RunState.FAILED:
            raised = _RAISED.match(run.reason or "")
            return raised.group() if raised else OTHER
        case RunState.TIMED_OUT | RunState.LOST | RunState.MISSED:
            return str(run.state)
        case _:
            return None


class Names:
    """Names as values of a label: the first so many as they are, and all others as one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def of(self, name: str) -> str:
        if name in self._known:
            return name
        with self._lock:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name


class JobNames(Names):
    """The ids of jobs, with those that were made up as one."""

    def of(self, name: str) -> str:
        return ONE_OFF if _MADE_UP.fullmatch(name) else super().of(name)
