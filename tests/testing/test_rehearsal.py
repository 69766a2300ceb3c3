"""The jobs that an application declares, under a virtual clock; the application's own scheduler is not touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests import deeds

from tickwork import AsyncIOScheduler, BackgroundScheduler, Retry
from tickwork.executors.threads import ThreadExecutor
from tickwork.testing import ManualScheduler

START = datetime(2030, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def title(app: FastAPI) -> str:
    return app.title


@pytest.fixture
def declared(tmp_path: Path) -> AsyncIOScheduler:
    scheduler = AsyncIOScheduler(
        f"sqlite:///{tmp_path}/jobs.db", timezone="Asia/Seoul", executors={"slow": ThreadExecutor(1)}
    )
    scheduler.add_job(deeds.nothing, "cron", hour=3, id="nightly")
    scheduler.add_job(deeds.nothing, "interval", hours=6, id="often", executor="slow")
    scheduler.add_job(deeds.fail, "date", id="once", retry=Retry(2))
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="paused", next_run_time=None)
    scheduler.add_job(deeds.nothing, "interval", days=10, id="given", next_run_time=START + DAY)
    return scheduler


def test_declared_jobs_count_from_the_start_of_the_rehearsal(declared: AsyncIOScheduler, tmp_path: Path) -> None:
    with ManualScheduler.rehearsing(declared, start=START) as rehearsal:
        rehearsal.advance(2 * DAY)

        assert [run.fire_time.hour for run in rehearsal.assert_ran("nightly", times=2)] == [18, 18]
        rehearsal.assert_ran("nightly", at="2030-03-02 03:00")
        rehearsal.assert_ran("often", times=8)
        rehearsal.assert_ran("once", times=2, state="failed")
        rehearsal.assert_not_ran("paused")
        [given] = rehearsal.assert_ran("given")

    assert given.fire_time == START + DAY
    assert not (tmp_path / "jobs.db").exists()
    assert not declared.running


def test_it_can_be_rehearsed_again_and_started_afterwards(declared: AsyncIOScheduler) -> None:
    for _ in range(2):
        with ManualScheduler.rehearsing(declared, start=START) as rehearsal:
            rehearsal.advance(DAY)
            rehearsal.assert_ran("nightly", times=1)


def test_jobs_find_the_app_and_nobody_is_told() -> None:
    scheduler = BackgroundScheduler()
    heard: list[Any] = []
    scheduler.add_listener(heard.append)
    scheduler.around_runs(lambda job, run: heard.append(run))
    scheduler.surroundings.app, scheduler.surroundings.state = FastAPI(title="the shop"), {}
    scheduler.add_job(title, "date", id="title")

    with ManualScheduler.rehearsing(scheduler) as rehearsal:
        rehearsal.run_due()
        [run] = rehearsal.assert_ran("title")

    assert run.result == "the shop"
    assert heard == []


def test_a_rehearsal_can_have_a_store_of_its_own(declared: AsyncIOScheduler, tmp_path: Path) -> None:
    with ManualScheduler.rehearsing(declared, start=START, store=f"sqlite:///{tmp_path}/rehearsal.db") as rehearsal:
        rehearsal.advance(DAY)
        rehearsal.assert_ran("nightly", times=1)

    assert (tmp_path / "rehearsal.db").exists()
