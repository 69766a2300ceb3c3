"""The witness: a file outside of every store, in which each call of a job writes that it was made.

One line, one `os.write` to a file opened with O_APPEND: the lines of many processes do not mix, and a
line that was written stays, whatever becomes of its process. Instants are microseconds since 1970.
"""

from __future__ import annotations

import json
import os
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tickwork import RunContext
from tickwork.clock import to_micros

PATH = "TICKWORK_WITNESS"


class Line(NamedTuple):
    what: str
    """`up`: a worker is there. `start`, `end`: of a call."""
    at: int
    pid: int
    job: str = ""
    fire_time: int = 0
    attempt: int = 0
    run: str = ""


class Witness:
    """What the test reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        path.chmod(0o666)  # a worker may run as another user

    def lines(self, what: str, job: str | None = None) -> list[Line]:
        return [line for line in self._read() if line.what == what and job in (None, line.job)]

    def _read(self) -> list[Line]:
        whole_lines = self.path.read_text().split("\n")[:-1]
        return [Line(*json.loads(line)) for line in whole_lines]


def testify(what: str, run: RunContext | None) -> None:
    """Write one line; called in the workers."""
    line: tuple[Any, ...] = (what, time.time_ns() // 1000, os.getpid())
    if run is not None:
        line += (run.job_id, to_micros(run.fire_time), run.attempt, run.id)
    os.write(_file(), json.dumps(line).encode() + b"\n")


@cache
def _file() -> int:
    return os.open(os.environ[PATH], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
