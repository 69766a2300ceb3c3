"""A worker of a campaign: a BackgroundScheduler whose machine's clock can be set. `python -m tests.chaos.worker`.

It ends in good order when its standard input does.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime, timedelta

import tests.chaos.jobs  # noqa: F401  the jobs' functions
from tests.processes.orders import Orders
from tests.processes.worker import reply

from tickwork import BackgroundScheduler
from tickwork.errors import StoreUnavailableError
from tickwork.stores import make_store

TIME_TO_END = 15.0
"""Seconds: the longest job takes its time."""


class WallClock:
    """The clock of this machine, as if it had been set by *off*."""

    off = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.off


def start(scheduler: BackgroundScheduler) -> None:
    """As a supervisor would, which starts a process again whose store could not be reached."""
    while True:
        try:
            return scheduler.start()
        except StoreUnavailableError:
            time.sleep(0.2)


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    orders, wall = Orders.given(), WallClock()
    store = make_store(orders.store)
    if store.wall_clock is not store.clock:  # on one machine they are the same, and cannot disagree
        store.wall_clock = wall
    scheduler = orders.scheduler(BackgroundScheduler, store)
    start(scheduler)
    reply(scheduler.health().node)
    for line in sys.stdin:
        wall.off = timedelta(seconds=json.loads(line)["seconds"])
        reply(wall.off.total_seconds())
    scheduler.shutdown(timeout=TIME_TO_END)


if __name__ == "__main__":
    main()
