"""Sweeping is a job as any other: declared by one call, once for all workers, and in the ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tickwork import RunState
from tickwork.errors import InvalidSessionError
from tickwork.sessions import Sessions, add_sweep_job
from tickwork.testing import ManualScheduler


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(f"sqlite:///{tmp_path}/sessions.db", idle=0.001)


def ended_sessions(sessions: Sessions) -> int:
    """Begin three that end at once; how many rows there are."""
    for _ in range(3):
        sessions.create()
    while sessions.count():
        pass
    return rows(sessions)


def rows(sessions: Sessions) -> int:
    with closing(sqlite3.connect(sessions.location.removeprefix("sqlite:///"))) as connection:
        return int(connection.execute("select count(*) from tickwork_sessions").fetchone()[0])


def test_what_has_expired_is_swept_by_a_job(sessions: Sessions, tmp_path: Path) -> None:
    scheduler = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db", start=datetime(2026, 1, 1, tzinfo=UTC))
    job = add_sweep_job(scheduler, sessions, every="10m")
    assert job is not None
    assert job.id == "sweep-sessions-default"
    scheduler.start()
    assert ended_sessions(sessions) == 3

    scheduler.advance(timedelta(minutes=10))

    (run,) = scheduler.get_runs(job.id)
    assert (run.state, run.result) == (RunState.SUCCEEDED, {"swept": 3})
    assert rows(sessions) == 0
    scheduler.shutdown()


def test_each_worker_declares_it_and_there_is_one(sessions: Sessions, tmp_path: Path) -> None:
    for _ in range(2):
        scheduler = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db")
        add_sweep_job(scheduler, sessions)
        scheduler.start()
        add_sweep_job(scheduler, sessions)
        assert [job.id for job in scheduler.get_jobs()] == ["sweep-sessions-default"]
        scheduler.shutdown()


def test_names_in_one_file_have_a_job_each(sessions: Sessions) -> None:
    scheduler = ManualScheduler()
    add_sweep_job(scheduler, sessions)
    add_sweep_job(scheduler, Sessions(sessions.location, name="shop"))

    assert {job.id for job in scheduler.get_jobs()} == {"sweep-sessions-default", "sweep-sessions-shop"}


def test_a_server_sweeps_by_itself() -> None:
    scheduler = ManualScheduler()

    assert add_sweep_job(scheduler, Sessions("redis://127.0.0.1:1")) is None
    assert scheduler.get_jobs() == []


@pytest.mark.parametrize("every", [0, -1, None, "", "often", True])
def test_lengths_that_cannot_be_are_refused(sessions: Sessions, every: Any) -> None:
    with pytest.raises(InvalidSessionError, match="every: expected"):
        add_sweep_job(ManualScheduler(), sessions, every=every)
