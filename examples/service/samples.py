"""Samples: how busy this machine was, every two seconds of the last week."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from examples.service.database import connect
from examples.service.settings import VAR

KEPT = timedelta(days=7)
INSERT = """
insert or replace into samples values (:taken_at, :load, :memory_used, :memory_total, :disk_used, :disk_total)
"""

Sample = dict[str, float | None]


def measure() -> Sample:
    """The machine as it is now; sizes are in bytes."""
    disk = shutil.disk_usage(VAR)
    total, available = memory()
    return {
        "load": os.getloadavg()[0],
        "memory_used": None if available is None else total - available,
        "memory_total": total,
        "disk_used": disk.used,
        "disk_total": disk.total,
    }


def memory() -> tuple[int, int | None]:
    """The machine's memory, and what of it is available. Only Linux tells the second in a file."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except FileNotFoundError:  # macOS
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return kilobytes["MemTotal"] * 1024, kilobytes["MemAvailable"] * 1024


def keep(taken_at: datetime, sample: Sample) -> None:
    """Write a sample down. The fire time is its key: a run that is repeated writes the same row."""
    with connect() as connection:
        connection.execute(
            INSERT,
            {"taken_at": taken_at.isoformat(), **sample},
        )


def forget_old(now: datetime) -> None:
    with connect() as connection:
        connection.execute("delete from samples where taken_at < ?", ((now - KEPT).isoformat(),))


def latest(limit: int) -> list[dict[str, object]]:
    """The newest samples, newest first."""
    with connect() as connection:
        return [
            dict(row) for row in connection.execute("select * from samples order by taken_at desc limit ?", (limit,))
        ]
