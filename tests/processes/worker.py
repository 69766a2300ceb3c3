"""A worker process: a BackgroundScheduler that obeys its orders, and answers questions, one a line.

`python -m tests.processes.worker`. It ends in good order when its standard input does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tests.processes.jobs  # noqa: F401  the functions of the jobs, before another user takes over
from tests.processes.orders import Orders, options

import tickwork.stores.sqlite  # noqa: F401  likewise, who may not be able to read it any more
from tickwork import BackgroundScheduler
from tickwork.events import JobOverdue
from tickwork.sqlite.place import file_system


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    orders = Orders.given()
    if not orders.bell:
        del os.mkfifo
    if orders.uid is not None:
        become(orders.uid)
    scheduler = orders.scheduler(BackgroundScheduler)
    scheduler.start(paused=orders.paused)
    reply(scheduler.health().node)
    overdue: list[str] = []
    scheduler.add_listener(lambda event: overdue.append(event.job.id), JobOverdue)  # type: ignore[union-attr]
    for line in sys.stdin:
        question = json.loads(line)
        reply(overdue if question["verb"] == "overdue" else answer(scheduler, **question))
    scheduler.shutdown(timeout=5.0)


def become(uid: int) -> None:
    """Go on as another user; who perhaps may not read Python's own files, so what is loaded late is loaded before."""
    file_system(Path.cwd())
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def answer(scheduler: BackgroundScheduler, verb: str, **arguments: Any) -> Any:
    match verb:
        case "health":
            return asdict(scheduler.health())
        case "nodes":
            return [node._asdict() for node in scheduler.get_nodes()]
        case "threads":
            return sorted(thread.name for thread in threading.enumerate() if thread.is_alive())
        case "pause":
            return scheduler.pause()
        case "resume":
            return scheduler.resume()
        case "add":
            began = time.time_ns() // 1000
            scheduler.add_job(arguments["func"], **options({key: arguments[key] for key in arguments if key != "func"}))
            return began
        case "add all":
            jobs = arguments["jobs"]
            return len(scheduler.add_jobs(scheduler.new_job(job["func"], **options(job)) for job in jobs))
        case "fill":
            due = datetime.now(UTC)
            func, args = arguments["func"], arguments.get("args", ())
            ids = [f"job-{number}" for number in range(arguments["number"])]
            return len(
                scheduler.add_jobs(scheduler.new_job(func, "date", run_date=due, id=id, args=args) for id in ids)
            )
        case _:
            raise ValueError(f"expected a verb, got {verb!r}")


def reply(value: Any) -> None:
    print(json.dumps(value, default=str), flush=True)


if __name__ == "__main__":
    main()
