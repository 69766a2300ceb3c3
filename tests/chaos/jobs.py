"""The functions of the jobs: each testifies that it began and that it ended, outside of every store."""

from __future__ import annotations

import asyncio
import time

from tests.processes.witness import testify

from tickwork import RunContext


def work(seconds: float, run: RunContext) -> None:
    testify("start", run)
    time.sleep(seconds)
    testify("end", run)


async def work_async(seconds: float, run: RunContext) -> None:
    testify("start", run)
    await asyncio.sleep(seconds)
    testify("end", run)
