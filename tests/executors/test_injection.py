"""What FastAPI's words in a signature ask for is found by the library's name, in any process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

JOBS = """
from typing import Annotated
from fastapi import Depends
from tickwork import BackgroundScheduler

scheduler = BackgroundScheduler("sqlite:///jobs.db")

def session():
    print("opened", flush=True)
    yield "session"
    print("closed", flush=True)

@scheduler.scheduled_job("date", id="report")
def report(session: Annotated[str, Depends(session)]) -> None:
    print("reported with", session, flush=True)
    scheduler.shutdown()
"""


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def test_a_worker_without_a_web_server_resolves_dependencies(tmp_path: Path) -> None:
    """Nothing in it has imported `tickwork.fastapi`."""
    (tmp_path / "jobs.py").write_text(JOBS)

    done = python("-m", "tickwork", "run", "jobs:scheduler", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["opened", "reported with session", "closed"]


def test_without_fastapi_what_it_would_fill_is_refused_with_the_extra_that_is_missing(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["fastapi"] = None
from starlette.applications import Starlette
from tickwork import BackgroundScheduler, InvalidJobError

def job(app: Starlette) -> None: ...

try:
    BackgroundScheduler().add_job(job)
except InvalidJobError as error:
    print(error)
"""

    done = python("-c", program, cwd=tmp_path)

    assert done.stderr == ""
    assert done.stdout.startswith(
        "parameter 'app': expected tickwork[fastapi] to be installed for what starlette calls"
    )
    assert "pip install 'tickwork[fastapi]'" in done.stdout
