"""What the API says: instants in UTC, durations in seconds, and nothing that JSON cannot hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tickwork.fastapi.models import HealthView, JobView, RunSummary, RunView
from tickwork.health import Health
from tickwork.job import Job
from tickwork.policies import Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import Origin, Progress, Run, RunState
from tickwork.triggers import CronTrigger, IntervalTrigger

SIX = datetime(2026, 11, 23, 6, tzinfo=UTC)
SECOND = timedelta(seconds=1)

JOB = Job(
    id="app.jobs:refresh", func="app.jobs:refresh", name="refresh", uid=7, anchored_at=SIX, next_fire_time=SIX,
    trigger=IntervalTrigger(minutes=10, start_date=SIX), kwargs={"password": "hunter2"},
    misfire_grace_time=90 * SECOND, overlap=Overlap.QUEUE, max_waiting=2, timeout=30 * SECOND, pause_after=5, declared="app", expect_every=timedelta(hours=1),
    retry=Retry(max_attempts=3, delay=2.5 * SECOND, backoff=2, jitter=0.5, on=ConnectionError),
    keep=Retention(age=86_400 * SECOND, count=None),
)  # fmt: skip
RUN = Run(
    job_id="app.jobs:refresh", job_uid=7, fire_time=SIX, available_at=SIX, state=RunState.FAILED, node="n",
    started_at=SIX + SECOND / 4, ended_at=SIX + SECOND, reason="ValueError: no", error="Traceback ...",
    progress=Progress(3, 4, "pages"), origin=Origin.MANUAL,
)  # fmt: skip


def as_json(view: JobView | RunSummary | HealthView) -> dict[str, object]:
    read = json.loads(view.model_dump_json())
    assert isinstance(read, dict)
    return read


def test_a_run_in_full() -> None:
    assert as_json(RunView.of(RUN)) == {
        "id": RUN.id,
        "job_id": "app.jobs:refresh",
        "fire_time": "2026-11-23T06:00:00Z",
        "through": None,
        "attempt": 1,
        "origin": "manual",
        "state": "failed",
        "available_at": "2026-11-23T06:00:00Z",
        "node": "n",
        "started_at": "2026-11-23T06:00:00.250000Z",
        "ended_at": "2026-11-23T06:00:01Z",
        "lateness": 0.25,
        "duration": 0.75,
        "reason": "ValueError: no",
        "progress": {"done": 3, "total": 4, "message": "pages"},
        "cancel_reason": None,
        "asked_by": None,
        "expires_at": None,
        "backfill": None,
        "has_arguments": False,
        "has_error": True,
        "error": "Traceback ...",
        "result": None,
    }


def test_a_summary_is_a_run_without_what_may_be_long() -> None:
    whole = as_json(RunView.of(RUN))

    assert as_json(RunSummary.of(RUN)) == {key: whole[key] for key in whole if key not in ("error", "result")}


def test_a_job_in_full_but_for_its_arguments() -> None:
    """They may be for fewer eyes than its times."""
    view = as_json(JobView.of(JOB, RUN))

    assert "hunter2" not in str(view)
    assert view.pop("last_run") == as_json(RunSummary.of(RUN))
    assert view == {
        "id": "app.jobs:refresh",
        "name": "refresh",
        "func": "app.jobs:refresh",
        "trigger": "every 10 minutes from 2026-11-23 06:00 UTC",
        "explanation": "every 10 minutes, from 2026-11-23 06:00 UTC",
        "trigger_kind": "interval",
        "executor": "threads",
        "next_fire_time": "2026-11-23T06:00:00Z",
        "last_fire_time": None,
        "paused": False,
        "paused_at": None,
        "pause_reason": None,
        "paused_by": None,
        "ended": False,
        "declared": "app",
        "retired_at": None,
        "coalesce": True,
        "catch_up": None,
        "misfire_grace_time": 90,
        "max_instances": 1,
        "overlap": "queue",
        "max_waiting": 2,
        "timeout": 30,
        "retry": {
            "max_attempts": 3,
            "delay": 2.5,
            "backoff": 2,
            "max_delay": 86400,
            "jitter": 0.5,
            "on": ["ConnectionError"],
            "give_up_on": [],
        },
        "pause_after": 5,
        "expect_every": 3600,
        "overdue_at": None,
        "expire_after": None,
        "tags": [],
        "metadata": {},
        "keep": {"age": 86_400, "count": None},
    }


def test_a_paused_job_and_an_ended_one_say_so() -> None:
    paused = JobView.of(JOB._replace(paused_at=SIX, pause_reason="moving"), None)
    ended = JobView.of(JOB._replace(next_fire_time=None), None)

    assert (paused.paused, paused.paused_at, paused.pause_reason, paused.ended) == (True, SIX, "moving", False)
    assert (ended.paused, ended.ended, ended.next_fire_time) == (False, True, None)


def test_a_trigger_speaks_for_itself() -> None:
    trigger = CronTrigger("0 3 * * *", timezone="Asia/Seoul")
    view = JobView.of(JOB._replace(trigger=trigger), None)

    assert (view.trigger, view.trigger_kind) == (str(trigger), "cron")


def test_a_progress_that_json_cannot_say_is_null() -> None:
    run = RUN._replace(progress=Progress(float("nan"), float("inf")))

    assert as_json(RunView.of(run))["progress"] == {"done": None, "total": None, "message": ""}


def test_healthy_is_running_without_an_outage() -> None:
    def healthy(*, running: bool, outage: str | None) -> bool:
        return HealthView.of(Health(running=running, paused=False, node="n", store="memory", outage=outage)).ready

    assert healthy(running=True, outage=None)
    assert not healthy(running=False, outage=None)
    assert not healthy(running=True, outage="the disk is full")
    assert not Health(running=True, paused=False, node="n", store="memory", outage=None, live=False).ready
