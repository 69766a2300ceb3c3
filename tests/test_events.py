"""Events are frozen, can be asked for, and can be written as JSON that gives nothing away."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from tests.samples import NOW, SECOND, make_job, make_run

from tickwork import events
from tickwork.events import (
    KINDS,
    Event,
    JobAdded,
    JobFired,
    RunSettled,
    SchedulerStarted,
    StoreLost,
    StoreRecovered,
    as_json,
    name_of,
    subject_of,
)
from tickwork.run import Progress, RunState


def test_every_event_can_be_asked_for() -> None:
    classes = {
        value for value in vars(events).values() if isinstance(value, type) and value.__module__ == events.__name__
    }

    assert classes == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_says_when_it_happened_and_has_a_name(kind: type) -> None:
    assert fields(kind)[-1].name == "at"
    assert name_of(kind) == name_of(kind).lower()
    assert name_of(kind).count(".") == 1


def test_an_event_as_json_has_plain_instants_and_durations() -> None:
    run = make_run(
        make_job(uid=255), state=RunState.FAILED, started_at=NOW + SECOND, ended_at=NOW + 3 * SECOND, node="a",
        reason="ValueError: broken", progress=Progress(1, 2, "half"),
    )  # fmt: skip

    assert as_json(RunSettled(run, NOW + 3 * SECOND)) == {
        "type": "run.settled",
        "timestamp": "2026-01-01T00:00:03Z",
        "data": {
            "run": {
                "id": "ff-1767225600000000-1", "key": "ff-1767225600000000", "job_id": "job",
                "fire_time": "2026-01-01T00:00:00Z", "through": None, "attempt": 1, "origin": "schedule",
                "state": "failed", "node": "a",
                "started_at": "2026-01-01T00:00:01Z", "ended_at": "2026-01-01T00:00:03Z",
                "lateness": 1.0, "duration": 2.0, "reason": "ValueError: broken",
                "progress": {"done": 1, "total": 2, "message": "half"}, "cancel_reason": None,
                    "asked_by": None, "backfill": None,
            }
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (StoreLost("disk full", NOW), {"error": "disk full"}),
        (StoreRecovered(NOW, NOW + SECOND), {"since": "2026-01-01T00:00:00Z"}),
        (JobFired(make_job(), (), NOW), {"job": ..., "runs": []}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_field_but_the_instant_is_data(event: Event, data: dict[str, Any]) -> None:
    written = as_json(event)["data"]

    assert {name: value if data[name] is not ... else ... for name, value in written.items()} == data


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (RunSettled(make_run(make_job(uid=255)), NOW), "run ff-1767225600000000-1 of job 'job'"),
        (JobFired(make_job(), (), NOW), "job 'job'"),
        (SchedulerStarted("a", NOW), "node a"),
        (StoreLost("disk full", NOW), "the store"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_says_in_a_line_what_it_is_about(event: Event, subject: str) -> None:
    assert subject_of(event) == subject


def test_json_shows_arguments_results_and_tracebacks_only_on_demand() -> None:
    secret = "hunter2"
    job = make_job(args=(secret,), kwargs={"password": secret}, timeout=timedelta(seconds=1))
    run = make_run(job, state=RunState.SUCCEEDED, result=secret, error=f"raise {secret}")
    told = JobFired(job, (run,), NOW)

    assert secret not in json.dumps(as_json(told))
    full = as_json(told, full=True)["data"]
    assert (full["job"]["args"], full["job"]["kwargs"]) == ([secret], {"password": secret})
    assert (full["runs"][0]["result"], full["runs"][0]["error"]) == (secret, f"raise {secret}")


def test_json_of_what_was_given_back_says_that_it_waits() -> None:
    assert as_json(RunSettled(make_run(make_job()), NOW))["data"]["run"]["state"] == "pending"


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        JobAdded(make_job(), NOW).at = NOW  # type: ignore[misc]
