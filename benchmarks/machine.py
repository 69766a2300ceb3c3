"""The machine that a run was made on."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from tickwork.sqlite.place import file_system

SYNCS = 50


def describe(folder: Path) -> str:
    """Some lines about this machine, and the disk that *folder* is on."""
    system = f"{platform.machine()}, {platform.system()} {platform.release()}"
    load = " ".join(f"{load:.1f}" for load in os.getloadavg())
    packages = ", ".join(f"{name} {version(name)}" for name in ("tickwork", "APScheduler", "SQLAlchemy"))
    return "\n".join([
        f"machine   {os.cpu_count()} cores, {system}, load {load}",
        f"disk      {file_system(folder)}, fdatasync p50 {sync_time(folder):.2f} ms",
        f"software  Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}",
    ])  # fmt: skip


def sync_time(folder: Path) -> float:
    """Milliseconds that it takes to write a page to the disk, so that it stays.

    To be looked at often: a virtual disk may take 0.2 ms now and 4 ms a minute later, and who syncs more loses more.
    """
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return 1000 * median(took)
