"""`tickwork run`: a process of its own for a scheduler, which ends as it is asked to."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from types import FrameType
from typing import NoReturn

from tickwork.asyncio import AsyncIOScheduler
from tickwork.cli.targets import load_scheduler
from tickwork.cli.watching import progress_shown
from tickwork.scheduler import Scheduler

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
LAST_WORDS = 5.0
"""Seconds after the timeout of a shutdown at which the process ends, whatever still holds it."""

log = logging.getLogger("tickwork.cli")


def run(options: argparse.Namespace) -> int:
    """Run a scheduler in this process, without a web server.

    SIGTERM or Ctrl-C ends it: nothing more is fired, what has not begun is handed over to the other
    processes, and running jobs get --timeout seconds to end. A second signal ends it at once.

    The progress that runs tell is shown as bars in a terminal, if rich is installed (tickwork[cli]), and otherwise
    as a line in the log now and then.
    """
    scheduler = load_scheduler(options.target)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    return asyncio.run(_run_until_stopped(scheduler, options.timeout.total_seconds()))


async def _run_until_stopped(scheduler: Scheduler, patience: float) -> int:
    """Run it in this event loop until a signal asks it to stop, or it is shut down from within."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    deadline = float("inf")

    def stop(name: str) -> None:
        nonlocal deadline
        deadline = loop.time() + patience
        log.info("%s: running jobs have %g s to end; a second signal ends the process at once", name, patience)
        loop.call_at(deadline + LAST_WORDS, stopped.set)
        if scheduler.running:
            scheduler.shutdown(wait=False, timeout=patience)

    def tell_stopped() -> None:
        scheduler.wait_stopped()
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(stopped.set)

    await _start(scheduler)
    Thread(target=tell_stopped, name="tickwork-run", daemon=True).start()  # no listener, whose turn may never come
    _on_first_signal(lambda name: loop.call_soon_threadsafe(stop, name))
    with progress_shown(scheduler):
        await stopped.wait()
    if loop.time() >= deadline:
        log.warning("what still ran after %g s was cut short", patience)
        _leave_at_once(1)
    return 0


async def _start(scheduler: Scheduler) -> None:
    if isinstance(scheduler, AsyncIOScheduler):
        await scheduler.aio.start()
    else:
        await asyncio.to_thread(Scheduler.start, scheduler)  # not a BlockingScheduler's own, which blocks


def _on_first_signal(ask: Callable[[str], object]) -> None:
    """Call *ask* at the first signal, and leave a second one to the system, which ends the process."""

    def handle(number: int, _: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        ask(signal.Signals(number).name)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)


def _leave_at_once(code: int) -> NoReturn:
    """End the process without waiting for its threads, which may go on for ever."""
    logging.shutdown()
    os._exit(code)
