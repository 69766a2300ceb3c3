"""The functions of the jobs: each testifies that it was called."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from tests.processes.witness import testify

from tickwork import RunContext

LONGEST = 60.0
"""Seconds; a gate that is never opened holds nobody longer."""


def beat(run: RunContext) -> None:
    testify("start", run)


async def beat_async(run: RunContext) -> None:
    testify("start", run)


def wait_at(gate: str, run: RunContext) -> None:
    """The first attempt goes on until there is a file at *gate*; another one ends at once."""
    testify("start", run)
    deadline = time.monotonic() + LONGEST
    while run.attempt == 1 and not Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    testify("end", run)


async def wait_at_async(gate: str, run: RunContext) -> None:
    testify("start", run)
    deadline = time.monotonic() + LONGEST
    while run.attempt == 1 and not os.path.exists(gate) and time.monotonic() < deadline:  # noqa: ASYNC110, ASYNC240, PTH110
        await asyncio.sleep(0.01)
    testify("end", run)
