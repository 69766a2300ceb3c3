"""Functions for jobs of tests. What they do is seen on a stage, and waited for; nothing sleeps."""

from __future__ import annotations

import asyncio
import builtins
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

from tickwork.events import Event, RunSettled
from tickwork.executors.call import RunContext, current_run
from tickwork.run import Run
from tickwork.scheduler import Scheduler

PATIENCE = 10.0
"""Seconds until a test that waits for something gives up."""
STAGES: dict[str, Stage] = {}


class Stage:
    """Where a job says that it has begun, and is told to go on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = threading.Event()
        self.go = threading.Event()
        self.seen: Queue[Any] = Queue()
        self.scheduler: Any = None
        STAGES[name] = self

    def show(self, what: Any) -> None:
        self.seen.put(what)

    def see(self) -> Any:
        """What the job shows next."""
        return self.seen.get(timeout=PATIENCE)


class StageInFiles:
    """A stage that other processes see, too: whatever happens on it is a file in its folder, which is its name."""

    def __init__(self, folder: str) -> None:
        self.name = folder
        self.begun = EventInFile(Path(folder, "begun"))
        self.go = EventInFile(Path(folder, "go"))
        self._seen = EventInFile(Path(folder, "seen"))

    def show(self, text: str) -> None:
        self._seen.set(text)

    def see(self) -> str:
        assert self._seen.wait(PATIENCE)
        return self._seen.path.read_text()


class EventInFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, text: str = "") -> None:
        part = self.path.with_suffix(".part")
        part.write_text(text)
        part.rename(self.path)

    def wait(self, timeout: float) -> bool:
        limit = time.monotonic() + timeout
        while not self.path.exists() and time.monotonic() < limit:
            time.sleep(0.002)
        return self.path.exists()


def stage_of(name: str) -> Stage | StageInFiles:
    return STAGES[name] if name in STAGES else StageInFiles(name)


class Ledger:
    """The runs that a scheduler settles, as they are told to listeners."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._settled: Queue[Run] = Queue()
        scheduler.add_listener(self._write, RunSettled)

    def next(self) -> Run:
        return self._settled.get(timeout=PATIENCE)

    def _write(self, event: Event) -> None:
        assert isinstance(event, RunSettled)
        self._settled.put(event.run)


def nothing() -> None: ...


def show(stage: str, *args: Any, **kwargs: Any) -> list[Any]:
    STAGES[stage].seen.put((args, kwargs))
    return list(args)


async def show_async(stage: str) -> str:
    STAGES[stage].seen.put(threading.current_thread().name)
    return "shown"


def show_context(stage: str, run: RunContext) -> None:
    assert current_run() is run
    STAGES[stage].seen.put((run.id, run.key, run.job_id, run.fire_time, run.attempt))


def fail(message: str = "broken") -> None:
    raise RuntimeError(message)


def raise_one(name: str) -> None:
    raise getattr(builtins, name)


def hold(stage: str) -> str:
    """Goes on when it is told to."""
    here = stage_of(stage)
    here.begun.set()
    assert here.go.wait(PATIENCE)
    here.show("went on")
    return "went on"


def hold_until_cancelled(stage: str, run: RunContext) -> str:
    """Notices that it is to end, and goes on until it is told to."""
    while not run.cancelled:
        time.sleep(0.001)
    STAGES[stage].seen.put("cancelled")
    assert STAGES[stage].go.wait(PATIENCE)
    return "went on"


def tell(well: str, ill: str, run: RunContext) -> None:
    run.log.info(well)
    run.log.warning(ill)


def tell_and_keep(text: str, run: RunContext) -> None:
    run.log.info(text)
    logging.getLogger("tests.deeds").warning(text)
    run.state["said"] = text


async def tell_and_keep_async(text: str, run: RunContext) -> None:
    run.log.info(text)
    await asyncio.to_thread(logging.getLogger("tests.deeds").warning, text)
    run.state["said"] = text


def count(run: RunContext) -> None:
    run.state["times"] = run.state.get("times", 0) + 1


def counted() -> Iterator[int]:
    yield 1


async def counted_async() -> AsyncIterator[int]:
    yield 1


async def hold_async(stage: str) -> None:
    """Goes on until it is cancelled."""
    STAGES[stage].begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        STAGES[stage].seen.put("cleaned up")


def shut_down(stage: str) -> None:
    STAGES[stage].scheduler.shutdown()
    STAGES[stage].seen.put("returned")


async def shut_down_async(stage: str) -> None:
    shut_down(stage)


def use_the_scheduler(stage: str) -> None:
    """Begins, and uses the verbs when it is told to."""
    scheduler = STAGES[stage].scheduler
    STAGES[stage].begun.set()
    assert STAGES[stage].go.wait(PATIENCE)
    scheduler.add_job(nothing, "interval", hours=1, id="added by a job", replace_existing=True)
    STAGES[stage].seen.put([job.id for job in scheduler.get_jobs()])
