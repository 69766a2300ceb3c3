"""Functions for jobs that run in a process of their own, and what they do to it. What they do is seen in files."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import subprocess
import sys
import threading
import time
from contextvars import copy_context
from pathlib import Path
from typing import Any

from tickwork.executors.call import RunContext, current_run
from tickwork.scheduler import BackgroundScheduler


def pid() -> int:
    return os.getpid()


async def pid_async() -> int:
    return os.getpid()


def hold(folder: str) -> str:
    """Goes on when it is told to."""
    (Path(folder) / "begun").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        time.sleep(0.005)
    (Path(folder) / "ended").touch()
    return "went on"


def spin(folder: str) -> None:
    (Path(folder) / "begun").write_text(str(os.getpid()))
    while True:
        pass


def spin_and_clean_up(folder: str) -> None:
    try:
        spin(folder)
    finally:
        (Path(folder) / "cleaned up").write_text(str(current_run().cancelled))


def spin_whatever_is_raised(folder: str) -> None:
    while True:
        try:
            spin(folder)
        except BaseException:
            (Path(folder) / "asked").touch()


def flood_whatever_is_raised(folder: str) -> None:
    def flood() -> None:
        while True:
            logging.getLogger("app").warning("flood")

    threading.Thread(target=copy_context().run, args=(flood,), daemon=True).start()
    spin_whatever_is_raised(folder)


def leave_a_thread_behind(folder: str, run: RunContext) -> None:
    """It logs in this run's name when the run has ended."""

    def tell_later() -> None:
        while not (Path(folder) / "go").exists():
            time.sleep(0.005)
        run.log.info("late")
        (Path(folder) / "ended").touch()

    threading.Thread(target=copy_context().run, args=(tell_later,), daemon=True).start()


def hold_the_interpreter(folder: str) -> None:
    """C code that lets no other thread run, and no handler of a signal."""
    (Path(folder) / "begun").write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(600)


def start_another(folder: str) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (Path(folder) / "other").write_text(str(other.pid))
    spin(folder)


def segfault() -> None:
    logging.getLogger("app").warning("about to")
    ctypes.string_at(0)


def leave(code: int) -> None:
    os._exit(code)


def leave_politely(code: int) -> None:
    sys.exit(code)


def say(text: str) -> None:
    print(text)


def return_what_is_no_json() -> Any:
    return lambda: math.pi


def return_much() -> str:
    return "x" * 10_000_000


def add(a: int, b: int = 0) -> int:
    return a + b


def show_context(run: RunContext) -> list[Any]:
    return [run.id, run.key, run.job_id, run.fire_time.isoformat(), run.attempt, run.cancelled]


def tell(run: RunContext) -> None:
    run.log.info("well")
    logging.getLogger("app").warning("ill \ud800")
    for _ in run.track(range(3), message="steps"):
        pass


def count_up(run: RunContext) -> dict[str, Any]:
    run.state["seen"] = [*run.state.get("seen", []), run.attempt]
    run.state.pop("gone", None)
    return dict(run.state)


async def count_up_async(run: RunContext) -> dict[str, Any]:
    return count_up(run)


def save_and_fail(run: RunContext) -> None:
    run.state["page"] = 7
    run.state.save()
    run.state["page"] = 8
    raise OSError("no page 8")


def keep_what_is_no_json(run: RunContext) -> None:
    run.state["seen"] = {1}


def keep_on_a_thread_left_behind(go: str, run: RunContext) -> None:
    def keep() -> None:
        while not Path(go).exists():
            time.sleep(0.005)
        try:
            run.state["seen"] = "by a ghost"
            run.state.save()
        except Exception as error:
            Path(f"{go}.told").write_text(f"{type(error).__name__}: {error}")

    threading.Thread(target=keep).start()


def wait_beside_a_thread_left_behind(go: str, run: RunContext) -> Any:
    Path(go).touch()
    while not Path(f"{go}.told").exists():
        time.sleep(0.005)
    return run.state.get("seen")


def transact(run: RunContext) -> None:
    with run.transaction():
        pass


def start_a_scheduler() -> None:
    BackgroundScheduler().start()
