"""Several processes on one PostgreSQL server, of which one is killed: each fire time once, each run accounted for."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from tests.processes.crew import Crew
from tests.processes.patience import wait_until

pytestmark = pytest.mark.processes

EVERY = 0.1
JOBS = 10
LEASE = 2.0

PROGRAM = """
import os, sys
from datetime import timedelta
from tickwork import BackgroundScheduler, current_run

def note():
    run = current_run()
    line = f"{run.job_id} {int(run.fire_time.timestamp() * 1e6)} {os.getpid()}\\n"
    os.write(witness, line.encode())

url, path, jobs, every = sys.argv[1:]
witness = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.modules["note"] = sys.modules["__main__"]
note.__module__ = "note"
scheduler = BackgroundScheduler(url, lease=timedelta(seconds=2))
for number in range(int(jobs)):
    scheduler.add_job("note:note", "interval", seconds=float(every), id=f"job-{number}", replace_existing=True)
scheduler.start()
print("started", flush=True)
sys.stdin.read()
scheduler.shutdown(timeout=5)
"""


def test_no_fire_time_is_doubled_or_forgotten_when_one_of_three_is_killed(
    crew: Crew, postgresql_url: str, postgresql_database: str, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    schema = postgresql_url.rpartition("=")[2]
    workers = [crew.run(PROGRAM, postgresql_url, str(witness), str(JOBS), str(EVERY)) for _ in range(3)]
    wait_until(lambda: len({line[2] for line in calls(witness)}) == 3, "three processes at work")

    os.kill(workers[0].pid, signal.SIGKILL)
    killed_at = time.time()
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        wait_until(
            lambda: connection.execute(
                f"select count(*) from {schema}.tickwork_open_runs where lease_until < %s".encode(),
                (int((killed_at + LEASE) * 1e6),),
            ).fetchone() == (0,) and time.time() > killed_at + LEASE,
            "that what the dead one held is closed",
        )  # fmt: skip
        for worker in workers[1:]:
            worker.hang_up()
            assert worker.wait_ended() == 0, worker.log.read_text()
        rows = connection.execute(
            f"select job_id, fire_time, through, state from {schema}.tickwork_runs order by job_id, fire_time".encode()
        ).fetchall()
        left = connection.execute(
            f"select job_id, fire_time, through, state from {schema}.tickwork_open_runs".encode()
        ).fetchall()

    called = Counter((job, int(fire_time)) for job, fire_time, _ in calls(witness))
    recorded = {(job, fire_time): state for job, fire_time, _, state in rows}
    assert {state for *_, state in left} <= {"pending"}, "claimed ahead, and given back by the last to leave"
    rows = sorted([*rows, *left])
    assert [key for key, times in called.items() if times > 1] == []
    assert called.keys() <= recorded.keys()
    assert {recorded[key] for key in called} <= {"succeeded", "lost"}
    assert [key for key, state in recorded.items() if state == "succeeded" and key not in called] == []
    for job in {job for job, *_ in rows}:
        own = [(fire_time, through or fire_time) for one, fire_time, through, _ in rows if one == job]
        gaps = [after[0] - before[1] for before, after in pairwise(own)]
        assert set(gaps) == {int(EVERY * 1e6)}, f"a fire time of {job} has no answer"


def calls(witness: Path) -> list[list[str]]:
    return [line.split() for line in witness.read_text().splitlines()] if witness.exists() else []
