"""Rounds: every case of a table once, and again; each in a fresh process and a folder of its own."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import postgresql, redis
from benchmarks.machine import sync_time
from benchmarks.tables import Case, Result, Results, Size, Table

ROOT = Path(__file__).parents[1]
PATIENCE = 600.0
"""Seconds that one case may take."""


def find_tables(name: str, size: Size) -> Sequence[Table]:
    """The tables of the benchmark *name*, at that size."""
    return importlib.import_module(f"benchmarks.{name}").tables(size)


class Measured(NamedTuple):
    results: Results
    sync_times: Sequence[float]
    """What the disk took for a sync, in milliseconds, before each round."""


def measure(table: Table, rounds: int, folder: Path) -> Measured:
    """Interleaved: round by round, case by case (or all of a round at once)."""
    results: dict[str, list[Result | None]] = {name: [] for name in table.cases}
    sync_times = []
    for _ in range(table.rounds or min(rounds, table.most_rounds or rounds)):
        sync_times.append(sync_time(folder))
        for names in [[*table.cases]] if table.together else [[name] for name in table.cases]:
            children = [Child(name, table.cases[name], folder) for name in names]
            try:
                for child in children:
                    results[child.name].append(child.wait_result())
            finally:
                for child in children:
                    child.end()
    return Measured(results, sync_times)


def _server(case: Case) -> Mapping[str, str]:
    """What the process of a case is told of the server, if it needs one."""
    if redis.KEPT in case.options.values():
        return {redis.VARIABLE: redis.next_database_url()}
    return {postgresql.VARIABLE: postgresql.server_url()} if postgresql.KEPT in case.options.values() else {}


class Child:
    """The process of one case."""

    def __init__(self, name: str, case: Case, folder: Path) -> None:
        self.name = name
        self._folder = tempfile.mkdtemp(dir=folder)
        function = f"{case.function.__module__}:{case.function.__qualname__}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", function, json.dumps(dict(case.options)), self._folder],
            cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **_server(case)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_result(self) -> Result | None:
        """What the case measured, or None, with its last words on stderr."""
        try:
            out, errors = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"{self.name}: not done within {PATIENCE:.0f} s", file=sys.stderr)
            return None
        if self._process.returncode:
            print(f"{self.name}: failed\n{errors[-2000:]}", file=sys.stderr)
            return None
        return json.loads(out.splitlines()[-1])

    def end(self) -> None:
        with self._process:
            self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
