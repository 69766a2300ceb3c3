"""The API over jobs and runs: what it answers, whom it answers, and what it refuses.

The virtual clock drives the production loop and stores; the last tests use a real scheduler in a real app.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.security import APIKeyQuery
from tests.fastapi.client import JSON, Client, anyone, make_app

from tickwork import (
    AsyncIOScheduler,
    ConflictError,
    RunContext,
    SchedulerError,
    StoreUnavailableError,
    TriggerError,
    __version__,
)
from tickwork.events import RunSettled
from tickwork.fastapi import UnprotectedRoutesError, create_router, lifespan
from tickwork.scheduler import Scheduler
from tickwork.testing import ManualScheduler

DEADLINE = 20
START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

STRANGE_IDS = (
    "app.jobs:refresh", "a/b", "/a", "a/", "a//b", "a b", " ", "한국어", "a?b=c&d#e", "100%", "%2F", "a%20b",
    "x/pause", "x/run", "pause", "x/why", "why", "../a", "a/../b", "a;b", "a+b", "<script>", "'\"", "😀",
)  # fmt: skip


def refresh(run: RunContext) -> dict[str, int]:
    run.log.info("begins with\n%d pages", 4)
    run.progress(2, 4, "pages")
    return {"pages": 4}


def fail() -> None:
    raise ValueError("no such folder")


async def hold_on() -> None:
    await asyncio.sleep(0)


@pytest.fixture(params=["memory", "sqlite"])
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ManualScheduler]:
    store = None if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    scheduler = ManualScheduler(store, start=START)
    scheduler.add_job(refresh, "interval", hours=1, id="refresh")
    scheduler.add_job(fail, "interval", hours=2, id="fail", executor="asyncio")
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


@pytest.fixture
def client(scheduler: ManualScheduler) -> Client:
    return Client(make_app(scheduler))


def quote(job_id: str) -> str:
    """As the dashboard does it, and JavaScript's encodeURIComponent."""
    from urllib.parse import quote as percent_encode

    return percent_encode(job_id, safe="!'()*")


class Upload:
    """A megabyte of JSON, and how many of its kilobytes were taken."""

    def __init__(self, *, announced: bool) -> None:
        self.sent = 0
        length = {"Content-Length": str(1_024 * 1_024)} if announced else {}
        self.options: dict[str, Any] = {"content": self.parts(), "headers": {**JSON, **length}}

    async def parts(self) -> AsyncIterator[bytes]:
        for _ in range(1_024):
            self.sent += 1
            yield b" " * 1_024


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()]


# reading


def test_jobs_come_with_their_schedule_and_their_last_run(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(HOUR)

    job, other = client.get("/jobs").json()

    assert (other["id"], job["id"]) == ("refresh", "fail")
    assert other["next_fire_time"] == "2026-03-01T02:00:00Z"
    assert other["last_fire_time"] == "2026-03-01T01:00:00Z"
    assert other["last_run"]["state"] == "succeeded"
    assert job["last_run"] is None


def test_the_log_of_a_run_is_shown(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(2 * HOUR)
    silent, told = (ids(client.get(f"/runs?job_id={job_id}"))[0] for job_id in ("fail", "refresh"))

    shown = client.get(f"/runs/{told}/log")

    assert shown.json() == {
        "beginning": [
            {"at": "2026-03-01T02:00:00Z", "level": "INFO", "logger": refresh.__module__, "text": "begins with\n4 pages"}
        ],
        "end": [], "left_out": 0, "left_out_length": 0,
    }  # fmt: skip
    assert client.get(f"/runs/{silent}/log").json()["beginning"] == []
    for nobody in ("7-1-1", "x", "%20"):
        assert client.get(f"/runs/{nobody}/log").status_code == 404


def test_jobs_are_filtered_and_paged(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.add_job(refresh, "interval", hours=3, id="app/한국어", name="The Handbook")
    scheduler.pause_job("fail")

    assert ids(client.get("/jobs")) == ["refresh", "app/한국어", "fail"]
    assert ids(client.get("/jobs?limit=1&offset=1")) == ["app/한국어"]
    assert ids(client.get("/jobs?paused=true")) == ["fail"]
    assert ids(client.get("/jobs?paused=false&search=HANDBOOK")) == ["app/한국어"]
    assert ids(client.get("/jobs?executor=asyncio")) == ["fail"]
    assert ids(client.get("/jobs?ended=true")) == []


def test_the_last_run_of_a_job_is_none_of_its_namesake_before_it(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(HOUR)
    scheduler.remove_job("refresh")
    scheduler.add_job(refresh, "interval", hours=1, id="refresh")
    scheduler.pause_job("refresh")

    assert client.get("/jobs/refresh").json()["last_run"] is None
    assert [run["job_id"] for run in client.get("/runs").json()] == ["refresh"]


def test_the_last_run_is_found_however_much_has_happened_since(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.add_job(refresh, "date", run_date=START + HOUR / 2, id="once")
    scheduler.advance(300 * HOUR)

    last_runs = {job["id"]: job["last_run"] for job in client.get("/jobs").json()}

    assert last_runs["once"]["fire_time"] == "2026-03-01T00:30:00Z"
    assert last_runs["once"] == client.get("/jobs/once").json()["last_run"]


def test_runs_are_the_newest_first_filtered_and_paged(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(4 * HOUR)
    runs = client.get("/runs").json()

    assert len(runs) == 6
    assert runs[0]["fire_time"] == "2026-03-01T04:00:00Z"
    assert ids(client.get("/runs?limit=2&offset=1")) == [run["id"] for run in runs[1:3]]
    assert ids(client.get("/runs?state=failed")) == [run["id"] for run in runs if run["job_id"] == "fail"]
    assert len(ids(client.get("/runs?state=failed&state=succeeded&job_id=refresh"))) == 4
    assert ids(client.get("/runs?state=lost")) == []
    assert ids(client.get("/runs?job_id=nobody")) == []


def test_a_run_tells_its_result_its_progress_and_its_error(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(2 * HOUR)
    (failed,) = ids(client.get("/runs?job_id=fail"))
    succeeded = ids(client.get("/runs?job_id=refresh"))[0]

    failed_run = client.get(f"/runs/{failed}").json()
    assert failed_run["reason"] == "ValueError: no such folder"
    assert failed_run["has_error"]
    assert 'raise ValueError("no such folder")' in failed_run["error"]
    succeeded_run = client.get(f"/runs/{succeeded}").json()
    assert succeeded_run["result"] == {"pages": 4}
    assert succeeded_run["progress"] == {"done": 2, "total": 4, "message": "pages"}
    assert (succeeded_run["lateness"], succeeded_run["duration"]) == (0, 0)


def test_the_overview_holds_what_the_dashboard_shows(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(2 * HOUR)

    overview = client.get("/overview").json()

    assert [job["id"] for job in overview["jobs"]] == ["fail", "refresh"]
    assert overview["jobs_total"] == 2
    assert len(overview["runs"]) == 3
    assert "error" not in overview["runs"][0]
    assert overview["read_only"] is False
    assert overview["health"]["running"] is True
    assert datetime.fromisoformat(overview["now"]).tzinfo is not None
    narrowed = client.get("/overview?state=failed&limit=1&job_id=fail").json()
    assert [run["state"] for run in narrowed["runs"]] == ["failed"]
    assert narrowed["jobs"] == overview["jobs"]


def test_nodes_are_told_with_what_became_of_them(scheduler: ManualScheduler, client: Client) -> None:
    first = scheduler.health().node
    scheduler.advance(timedelta(seconds=1))
    scheduler.shutdown()
    scheduler.start()

    known, alive = client.get("/nodes").json(), client.get("/nodes?alive=true").json()

    assert [(node["id"], node["state"]) for node in known] == [(scheduler.health().node, "alive"), (first, "stopped")]
    assert alive == known[:1] == client.get("/overview").json()["nodes"]
    assert known[1]["stopped_at"] == "2026-03-01T00:00:01Z"
    assert (known[0]["pid"], known[0]["version"]) == (os.getpid(), __version__)


def test_a_job_tells_whether_it_is_overdue_and_health_how_many_are(scheduler: ManualScheduler, client: Client) -> None:
    for id in ("refresh", "fail"):
        scheduler.modify_job(id, expect_every=3 * HOUR)
    scheduler.advance(4 * HOUR)

    jobs = {job["id"]: job["overdue_at"] for job in client.get("/jobs").json()}

    assert jobs == {"refresh": None, "fail": "2026-03-01T03:00:00Z"}
    assert client.get("/jobs/fail").json()["expect_every"] == 3 * 3600
    assert (client.get("/health").status_code, client.get("/health").json()["overdue"]) == (200, 1)


def test_why_answers_for_any_instant(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(2 * HOUR)

    failed = client.get("/jobs/fail/why?at=2026-03-01T02:00Z").json()
    coming = client.get("/jobs/refresh/why", params={"at": "2026-03-01T21:00+09:00"}).json()
    beside = client.get("/jobs/refresh/why?at=2026-03-01T01:30:00.5Z").json()

    (run,) = failed.pop("runs")
    assert run == client.get(f"/runs/{run['id']}").json()
    assert failed == {
        "job_id": "fail", "instant": "2026-03-01T02:00:00Z", "verdict": "failed", "manual": False,
        "sentence": f"ran on node {run['node']} from 2026-03-01 02:00 UTC until 2026-03-01 02:00 UTC, "
        "and failed: ValueError: no such folder",
        "fire_time": "2026-03-01T02:00:00Z", "before": None, "after": "2026-03-01T04:00:00Z",
    }  # fmt: skip
    assert (coming["verdict"], coming["fire_time"], coming["runs"]) == ("coming", "2026-03-01T12:00:00Z", [])
    assert (beside["verdict"], beside["fire_time"]) == ("not_a_fire_time", None)
    assert (beside["before"], beside["after"]) == ("2026-03-01T01:00:00Z", "2026-03-01T02:00:00Z")


def test_an_instant_whose_plus_was_not_encoded_is_understood(client: Client) -> None:
    response = client.get("/jobs/refresh/why?at=2026-03-01T21:00:00+09:00")

    assert response.json()["instant"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("url", "status", "detail"),
    [
        ("/jobs/refresh/why?at=soon", 422, "at: expected a time such as"),
        ("/jobs/refresh/why?at=", 422, "at: expected a time such as"),
        ("/jobs/refresh/why?at=2026-03-01", 422, "at: expected a time with a time zone"),
        ("/jobs/nobody/why?at=2026-03-01T00:00Z", 404, "expected the id of a job, got 'nobody'"),
        ("/jobs/refresh/why", 422, "at: expected a time, got none: add ?at="),
    ],
)
def test_what_cannot_be_answered(client: Client, url: str, status: int, detail: str) -> None:
    response = client.get(url)

    assert response.status_code == status
    assert response.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    "url",
    [
        "/runs?state=done", "/runs?limit=0", "/runs?limit=1001", "/runs?limit=ten", "/runs?offset=-1",
        "/runs?offset=99999999999999999999", "/jobs?limit=0", "/jobs?paused=perhaps", "/overview?state=",
    ],
)  # fmt: skip
def test_unknown_values_are_422(client: Client, url: str) -> None:
    assert client.get(url).status_code == 422


# changing


def test_a_job_is_paused_with_a_reason_and_resumed(scheduler: ManualScheduler, client: Client) -> None:
    paused = client.post("/jobs/refresh/pause", json={"reason": "the source is being moved"})

    assert paused.status_code == 200
    assert paused.json()["paused"] is True
    assert paused.json()["paused_at"] == "2026-03-01T00:00:00Z"
    assert paused.json()["pause_reason"] == "the source is being moved"
    assert scheduler.get_job("refresh").paused  # type: ignore[union-attr]

    resumed = client.post("/jobs/refresh/resume")

    assert resumed.status_code == 200
    assert resumed.json()["paused"] is False
    assert resumed.json()["pause_reason"] is None


def user(x_user: Annotated[str | None, Header()] = None) -> str | None:
    """A guard that knows who calls, as an app has one."""
    return x_user


def test_the_app_says_who_calls(scheduler: ManualScheduler) -> None:
    client = Client(make_app(scheduler, dependencies=[Depends(user)], caller=Depends(user)))
    alice = {"headers": {**JSON, "X-User": "alice"}}

    assert client.post("/jobs/refresh/pause", json={"reason": "moving"}, **alice).json()["paused_by"] == "alice"
    run = client.post("/jobs/refresh/run", **alice).json()
    assert run["asked_by"] == "alice"
    cancelled = client.post(f"/runs/{run['id']}/cancel", json={"reason": "no need"}, **alice).json()
    assert cancelled["reason"] == "no need (by alice)"
    assert client.post("/jobs/refresh/resume", **alice).json()["paused_by"] is None


@pytest.mark.parametrize(
    ("told", "kept"), [(None, None), ("", None), (" a\nb ", "a?b"), ("x" * 999, "x" * 200), ("앨리스", "앨리스")]
)
def test_a_name_is_kept_as_far_as_it_can_be(scheduler: ManualScheduler, told: str | None, kept: str | None) -> None:
    client = Client(make_app(scheduler, caller=Depends(lambda: told)))

    assert client.post("/jobs/refresh/pause").json()["paused_by"] == kept


def test_a_caller_that_is_no_name_is_the_apps_mistake(scheduler: ManualScheduler) -> None:
    client = Client(make_app(scheduler, caller=Depends(lambda: {"name": "alice"})))

    with pytest.raises(TypeError, match="expected caller to return a name or None, got dict"):
        client.post("/jobs/refresh/pause")


def test_a_guard_is_asked_before_the_name_is(scheduler: ManualScheduler) -> None:
    def refuse() -> None:
        raise HTTPException(401)

    def name() -> str:
        raise AssertionError("asked")

    client = Client(make_app(scheduler, dependencies=[Depends(refuse)], caller=Depends(name)))

    assert client.post("/jobs/refresh/pause").status_code == 401


def test_a_reason_may_be_left_out_and_may_not_be_a_novel(client: Client) -> None:
    assert client.post("/jobs/refresh/pause").json()["pause_reason"] is None
    assert client.post("/jobs/refresh/pause", json={}).json()["pause_reason"] is None
    assert client.post("/jobs/refresh/pause", json={"reason": "x" * 501}).status_code == 422


def test_a_run_that_is_asked_for_is_answered_at_once_and_made_later(scheduler: ManualScheduler, client: Client) -> None:
    asked = client.post("/jobs/refresh/run")

    assert asked.status_code == 202
    assert (asked.json()["state"], asked.json()["origin"]) == ("pending", "manual")
    scheduler.run_due()
    assert client.get(f"/runs/{asked.json()['id']}").json()["state"] == "succeeded"


def test_a_run_can_be_given_arguments_which_are_not_shown(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.add_job(greet, "interval", hours=1, id="greet", args=["all"])

    asked = client.post("/jobs/greet/run", json={"args": [], "kwargs": {"name": "hunter2"}})
    scheduler.run_due()

    assert asked.status_code == 202
    assert asked.json()["has_arguments"]
    assert "hunter2" not in asked.text
    assert client.get(f"/runs/{asked.json()['id']}").json()["result"] == "hello hunter2"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/runs?job=refresh", "query: expected job_id, limit, offset, state, got 'job' (did you mean 'job_id'?)"),
        ("/runs?states=failed", "query: expected job_id, limit, offset, state, got 'states' (did you mean 'state'?)"),
        ("/jobs?tags=etl", "query: expected ended, executor, limit, metadata, offset, paused, search, tag, got 'tags'"),
        ("/jobs/refresh?x=1", "query: expected nothing, got 'x'"),
        ("/jobs/refresh/why?when=2026-03-01", "query: expected at, got 'when'"),
        ("/health?" + "x" * 999, "query: expected nothing, got 'xxx"),
        ("/overview?%00=1", "query: expected job_id, limit, search, state, got '\\x00'"),
    ],
)
def test_what_is_misspelt_in_a_url_is_refused(client: Client, url: str, said: str) -> None:
    refused = client.get(url)

    assert refused.status_code == 422
    assert said in refused.json()["detail"]


@pytest.mark.parametrize("verb", ["pause", "resume", "run", "backfill"])
def test_what_is_misspelt_in_a_body_is_refused(scheduler: ManualScheduler, client: Client, verb: str) -> None:
    refused = client.post(f"/jobs/refresh/{verb}", json={"resaon": "a letter is in the wrong place"})

    assert refused.status_code == 422
    assert any("got 'resaon'" in one["msg"] for one in refused.json()["detail"])
    assert client.get("/jobs/refresh").json()["paused"] is False
    assert client.post(f"/jobs/refresh/{verb}?reason=moving").status_code == 422


def test_what_the_apps_own_dependencies_take_from_a_url_is_known(scheduler: ManualScheduler) -> None:
    def token(token: str, key: Annotated[str, Depends(APIKeyQuery(name="api_key"))]) -> None: ...

    client = Client(make_app(scheduler, dependencies=[Depends(token)]))

    assert client.get("/runs?token=a&api_key=b&limit=1").status_code == 200
    assert client.get("/runs?token=a&api_key=b&api=1").status_code == 422
    assert client.get("/runs?api=1&api_key=b").status_code == 422


def test_a_stranger_is_not_told_what_is_misspelt(scheduler: ManualScheduler) -> None:
    def refuse() -> None:
        raise HTTPException(401)

    client = Client(make_app(scheduler, dependencies=[Depends(refuse)]))

    assert client.get("/runs?job=refresh").status_code == 401


def test_a_page_may_be_asked_for_with_anything(client: Client) -> None:
    assert client.get("/?utm_source=mail").status_code == 200
    assert client.get("/dashboard.js?v=2").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://intranet:8000"}, 200),
        ({"Origin": "HTTP://Intranet:8000"}, 200),
        ({"Origin": "https://intranet:8000"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": ""}, 415),
        ({"Origin": "null"}, 415),
        ({"Origin": "intranet:8000"}, 415),
        ({"Origin": "http://intranet"}, 415),
        ({"Origin": "http://intranet:9000"}, 415),
        ({"Origin": "http://evil.example"}, 415),
        ({"Origin": "http://intranet:8000", "Sec-Fetch-Site": "cross-site"}, 415),
        ({"Origin": "http://intranet:8000", "Sec-Fetch-Site": "same-site"}, 415),
    ],
)
def test_a_page_of_this_server_needs_no_content_type(
    scheduler: ManualScheduler, headers: dict[str, str], status: int
) -> None:
    """As the description of the API sends it: without a body, and over HTTP without the newer header."""
    client = Client(make_app(scheduler), base_url="http://intranet:8000")

    assert client.post("/jobs/refresh/resume", headers=headers).status_code == status


def test_a_program_needs_no_content_type(client: Client) -> None:
    """As `curl -X POST` asks; `curl -d` calls its body a form, as a page would that wants to be taken for it."""
    assert client.ask("POST", "/jobs/refresh/pause").json()["paused"] is True
    assert client.ask("POST", "/jobs/refresh/resume", content=b"{}").json()["paused"] is False

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.ask("POST", "/jobs/refresh/pause", headers=form, content=b"{}").status_code == 415


def test_a_page_over_http_does_not_speak_for_a_server_over_https(scheduler: ManualScheduler) -> None:
    client = Client(make_app(scheduler), base_url="https://intranet")

    assert client.post("/jobs/refresh/resume", headers={"Origin": "http://intranet"}).status_code == 415
    assert client.post("/jobs/refresh/resume", headers={"Origin": "https://intranet"}).status_code == 200


def test_jobs_are_found_by_their_labels(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.modify_job("refresh", tags=["etl", "nightly"], metadata={"team": "a:b"})

    def found(url: str) -> list[str]:
        return [job["id"] for job in client.get(url).json()]

    assert client.get("/jobs/refresh").json()["tags"] == ["etl", "nightly"]
    assert found("/jobs?tag=etl&tag=nightly&metadata=team=a:b") == ["refresh"]
    assert found("/jobs?tag=hourly") == found("/jobs?metadata=team=b") == []
    assert client.get("/jobs?metadata=team").status_code == 422
    assert client.get("/jobs?tag=").status_code == 422


def test_several_jobs_are_paused_and_resumed_by_their_labels(scheduler: ManualScheduler) -> None:
    scheduler.modify_job("refresh", tags=["etl"], metadata={"team": "search"})
    scheduler.add_job(refresh, "interval", hours=1, id="pause", tags=["etl"])
    client = Client(make_app(scheduler, caller=Depends(lambda: "alice")))

    one = client.post("/jobs/pause", json={"tags": ["etl"], "metadata": {"team": "search"}, "reason": "moved"})
    both = client.post("/jobs/pause", json={"tags": ["etl"]})
    resumed = client.post("/jobs/resume", json={"tags": ["etl"]})

    assert [(job["id"], job["pause_reason"], job["paused_by"]) for job in one.json()] == [("refresh", "moved", "alice")]
    assert sorted(job["id"] for job in both.json()) == ["pause", "refresh"]
    assert all(job["paused"] for job in both.json())
    assert not any(job["paused"] for job in resumed.json())
    assert client.post("/jobs/pause/pause", json={}).json()["id"] == "pause"


@pytest.mark.parametrize(
    "body",
    [{}, {"tags": []}, {"tags": "etl"}, {"tags": [""]}, {"metadata": {"a": 1}}, {"tag": ["etl"]}, {"tags": 51 * ["x"]}],
)
def test_several_jobs_that_nothing_names_are_not_paused(scheduler: ManualScheduler, client: Client, body: Any) -> None:
    assert client.post("/jobs/pause", json=body).status_code == 422
    assert client.post("/jobs/resume", json=body).status_code == 422
    assert client.post("/jobs/resume", json={"tags": ["x"], "reason": "none is asked for"}).status_code == 422
    assert not any(job.paused for job in scheduler.get_jobs())


def test_a_range_of_the_past_is_run_after_all(scheduler: ManualScheduler) -> None:
    scheduler.add_job(greet, "interval", hours=1, id="greet", args=["all"])
    scheduler.pause_job("greet")
    scheduler.advance(5 * HOUR)
    scheduler.resume_job("greet")
    client = Client(make_app(scheduler, caller=Depends(user)))
    asked = client.post(
        "/jobs/greet/backfill",
        json={"start": "2026-03-01T02:00:00Z", "end": "2026-03-01T05:00:00+01:00"},
        headers={**JSON, "X-User": "alice"},
    )
    scheduler.run_due()

    assert asked.status_code == 202
    assert (asked.json()["asked_by"], asked.json()["cursor"]) == ("alice", "2026-03-01T02:00:00Z")
    done = client.get(f"/backfills/{asked.json()['id']}").json()
    assert (done["born"], done["cursor"], done["ended_at"] is not None) == (3, None, True)
    assert client.get("/backfills", params={"job_id": "greet", "ended": True}).json() == [done]
    assert client.get("/backfills", params={"ended": False}).json() == []
    assert client.post(f"/backfills/{done['id']}/cancel").status_code == 409
    assert client.get("/backfills/nobody").status_code == 404
    for body in ({}, {"start": "x", "end": "y"}, {"start": "2026-03-01T00:00:00Z"}, {**asked.json()}):
        assert client.post("/jobs/greet/backfill", json=body).status_code == 422


def test_a_run_is_tried_again(scheduler: ManualScheduler) -> None:
    client = Client(make_app(scheduler, caller=Depends(user)))
    run = client.post("/jobs/refresh/run").json()
    assert client.post(f"/runs/{run['id']}/retry").status_code == 409
    scheduler.run_due()

    refused = client.post(f"/runs/{run['id']}/retry")
    again = client.post(
        f"/runs/{run['id']}/retry", json={"even_if_succeeded": True}, headers={**JSON, "X-User": "alice"}
    )

    assert refused.status_code == 409
    assert "pass even_if_succeeded=True" in refused.json()["detail"]
    assert again.status_code == 202
    assert (again.json()["attempt"], again.json()["asked_by"]) == (2, "alice")
    assert client.post("/runs/nobody/retry").status_code == 404
    assert client.post(f"/runs/{run['id']}/retry", json={"even_if_succeeded": "yes"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"args": [7]}', "argument 'name' of greet: expected str, got 7"),
        (b'{"kwargs": {"nmae": "a"}, "args": []}', "args, kwargs: expected what greet"),
        (b'{"args": {"name": "a"}}', "list"),
        (b'{"kwargs": []}', "object"),
        (b'{"kwarg": {}}', "expected args, kwargs, expire_after, got 'kwarg' (did you mean 'kwargs'?)"),
        (b'{"by": "alice"}', "expected args, kwargs, expire_after, got 'by'"),
        (b"[]", "object"),
        (b"{", "JSON"),
        (b'{"args": [NaN]}', "args[0]: expected a finite number, got nan"),
        (b'{"args": ["\\ud800"]}', "JSON"),
    ],
)
def test_what_a_run_cannot_be_given_is_422(scheduler: ManualScheduler, client: Client, body: bytes, said: str) -> None:
    scheduler.add_job(greet, "interval", hours=1, id="greet", args=["all"])

    refused = client.post("/jobs/greet/run", content=body)

    assert refused.status_code == 422
    assert said in str(refused.json()["detail"]).replace("\\'", "'")
    assert scheduler.get_runs() == []


def greet(name: str) -> str:
    return f"hello {name}"


def test_a_job_is_removed_and_its_runs_stay(scheduler: ManualScheduler, client: Client) -> None:
    scheduler.advance(HOUR)

    removed = client.delete("/jobs/refresh")

    assert (removed.status_code, removed.content) == (204, b"")
    assert scheduler.get_job("refresh") is None
    assert len(ids(client.get("/runs?job_id=refresh"))) == 1


@pytest.mark.parametrize("job_id", STRANGE_IDS)
def test_an_id_may_hold_any_printable_character(scheduler: ManualScheduler, client: Client, job_id: str) -> None:
    scheduler.add_job(refresh, "interval", hours=1, id=job_id)
    url = f"/jobs/{quote(job_id)}"

    assert client.get(url).json()["id"] == job_id
    assert client.post(f"{url}/pause", json={"reason": "r"}).json()["id"] == job_id
    assert client.post(f"{url}/resume").json()["id"] == job_id
    assert client.post(f"{url}/run").json()["job_id"] == job_id
    assert client.get("/runs", params={"job_id": job_id}).json()[0]["job_id"] == job_id
    assert client.delete(url).status_code == 204
    assert {job.id for job in scheduler.get_jobs()} == {"refresh", "fail"}


# errors


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/jobs/nobody"), ("POST", "/jobs/nobody/pause"), ("POST", "/jobs/nobody/resume"),
        ("POST", "/jobs/nobody/run"), ("DELETE", "/jobs/nobody"), ("GET", "/jobs/"),
    ],
)  # fmt: skip
def test_an_unknown_job_is_404(client: Client, method: str, url: str) -> None:
    response = client.ask(method, url, headers=JSON)

    assert response.status_code == 404
    assert response.json()["detail"].startswith("expected the id of a job, got ")


@pytest.mark.parametrize(
    "run_id", ["nobody", "a-b-c", "7-1795413600000000-1", "7-1-99999999999999999999", "-".join("9" * 3)]
)
def test_an_unknown_run_is_404(client: Client, run_id: str) -> None:
    response = client.get(f"/runs/{run_id}")

    assert response.status_code == 404
    assert response.json() == {
        "detail": f"expected the id of a run, got {run_id!r}: it never was, or it has been pruned"
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TriggerError("expected a trigger"), 422),
        (ConflictError("expected to win"), 409),
        (StoreUnavailableError("expected a store"), 503),
    ],
)
def test_every_error_of_tickwork_has_its_status_and_its_text(
    scheduler: ManualScheduler, error: Exception, status: int
) -> None:
    """Also where the app's own code, a dependency here, raises it; whatever handlers the app has."""

    def raise_it() -> None:
        raise error

    response = Client(make_app(scheduler, dependencies=[Depends(raise_it)])).get("/jobs")

    assert (response.status_code, response.json()) == (status, {"detail": str(error)})


def test_a_store_that_cannot_be_reached_is_503(tmp_path: Path) -> None:
    place = tmp_path / "gone" / "jobs.db"
    response = Client(make_app(AsyncIOScheduler(f"sqlite:///{place}"))).get("/jobs")

    assert response.status_code == 503
    assert str(place.parent) in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason":"\\ud800"}', b'{"reason":"\xed\xa0\x80"}', b'{"reason":NaN}', b'{"reason":1e999}', b'{"\\ud800":NaN}x',
        b"{bad", b"\xff", b"[" * 16_000, b'{"reason":' * 1_000,
    ],
)  # fmt: skip
def test_a_body_that_is_no_reason_is_422(scheduler: ManualScheduler, client: Client, body: bytes) -> None:
    """Its answer does not quote it, as not all that can be read can be written."""
    response = client.post("/jobs/refresh/pause", content=body)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][0] == "body"
    assert "input" not in response.json()["detail"][0]
    assert not scheduler.get_job("refresh").paused  # type: ignore[union-attr]


def test_the_answer_to_a_body_that_a_dependency_refuses_can_be_written(scheduler: ManualScheduler) -> None:
    def wants_a_code(code: Annotated[int, Body(embed=True)]) -> None:
        pass

    client = Client(make_app(scheduler, dependencies=[Depends(wants_a_code)]))

    for code in (b"NaN", b'"\\ud800"'):
        assert client.post("/jobs/refresh/run", content=b'{"code":%s}' % code).status_code == 422


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_long_is_not_read_to_its_end(scheduler: ManualScheduler, announced: bool) -> None:
    upload = Upload(announced=announced)
    response = Client(make_app(scheduler)).post("/jobs/refresh/pause", **upload.options)

    assert response.status_code == 413
    assert response.json() == {
        "detail": "expected a body of at most 16384 bytes, got more: send no more than is asked for"
    }
    assert upload.sent <= (0 if announced else 20)


def test_a_length_that_nobody_can_mean_is_too_long(client: Client) -> None:
    headers = {**JSON, "Content-Length": "9" * 5_000}

    assert client.post("/jobs/refresh/pause", content=b"{}", headers=headers).status_code == 413


def test_a_body_in_parts_is_read_as_one(client: Client) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"reason":'
        yield b'"a leak"}'

    assert client.post("/jobs/refresh/pause", content=parts()).json()["pause_reason"] == "a leak"


# health


def test_health_is_200_while_the_scheduler_fires_and_503_when_it_does_not(
    scheduler: ManualScheduler, client: Client
) -> None:
    healthy = client.get("/health")
    scheduler.shutdown()
    stopped = client.get("/health")

    assert (healthy.status_code, healthy.json()["running"]) == (200, True)
    assert (stopped.status_code, stopped.json()["running"]) == (503, False)


def test_probes_tell_yes_or_no_and_no_more(tmp_path: Path) -> None:
    """In an outage a process is not ready, and to restart it would not help; nor does it if it was shut down."""
    scheduler = ManualScheduler(f"sqlite:///{tmp_path}/secret/jobs.db", start=START)
    (tmp_path / "secret").mkdir()
    scheduler.start()
    client = Client(make_app(scheduler), base_url="http://10.1.2.3")

    def probes() -> list[tuple[int, Any]]:
        answers = [client.get(f"/health/{probe}") for probe in ("live", "ready")]
        return [(answer.status_code, answer.json()) for answer in answers]

    good = probes()
    with closing(sqlite3.connect(tmp_path / "secret/jobs.db", isolation_level=None)) as other:
        other.execute("alter table tickwork_jobs rename to elsewhere")
        scheduler._running_driver().loop.tick()
        outage = probes()
        other.execute("alter table elsewhere rename to tickwork_jobs")
    scheduler.advance(timedelta(minutes=1))
    recovered = probes()
    scheduler.shutdown()
    stopped = probes()

    assert good == recovered == [(200, {"live": True}), (200, {"ready": True, "reason": None})]
    assert outage == [
        (200, {"live": True}), (503, {"ready": False, "reason": "the store cannot be used, ticks fail, or clocks disagree"}),
    ]  # fmt: skip
    assert stopped == [(200, {"live": True}), (503, {"ready": False, "reason": "its scheduler does not run"})]


def test_health_is_503_in_an_outage_which_it_explains(tmp_path: Path) -> None:
    """A real file, whose table someone renames for a while."""
    scheduler = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db", start=START)
    scheduler.add_job(refresh, "interval", hours=1, id="refresh")
    scheduler.start()
    client = Client(make_app(scheduler))

    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
        other.execute("alter table tickwork_jobs rename to elsewhere")
        scheduler._running_driver().loop.tick()
        outage = client.get("/health")
        jobs = client.get("/jobs")
        other.execute("alter table elsewhere rename to tickwork_jobs")
    scheduler.advance(HOUR)

    assert (outage.status_code, outage.json()["running"]) == (503, True)
    assert "tickwork_jobs" in outage.json()["outage"]
    assert jobs.status_code == 503
    assert client.get("/health").json()["outage"] is None
    assert len(client.get("/runs").json()) == 1
    scheduler.shutdown()


# who may call


@pytest.mark.parametrize("options", [{}, {"dependencies": []}, {"dependencies": None}, {"unprotected": False}])
def test_routes_that_change_something_are_not_mounted_unless_someone_guards_them(options: dict[str, Any]) -> None:
    with pytest.raises(UnprotectedRoutesError, match=r"pass dependencies=\[Depends\(\.\.\.\)\], or read_only=True"):
        create_router(ManualScheduler(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"dependencies": [Depends(anyone)], "unprotected": True},
        {"dependencies": [Depends(anyone)], "allowed_hosts": ["jobs.example.com"]},
        {"dependencies": [Depends(anyone)], "read_only": True, "allowed_hosts": ["jobs.example.com"]},
        {"unprotected": True, "allowed_hosts": "jobs.example.com"},
        {"changes": [Depends(anyone)], "unprotected": True},
        {"changes": [Depends(anyone)], "read_only": True},
    ],
)
def test_protections_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UnprotectedRoutesError, match="create_router: expected "):
        create_router(ManualScheduler(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": FastAPI()}, "create_router: expected a scheduler, got <fastapi."),
        ({"dependencies": [anyone]}, "dependencies: expected Depends(...), got <function anyone"),
        ({"dependencies": [anyone]}, ": write Depends(anyone)"),
        ({"dependencies": Depends(anyone)}, "expected dependencies=[Depends(...)], got Depends("),
        ({"dependencies": "admin"}, "expected dependencies=[Depends(...)], got 'admin': put it into a list"),
        ({"changes": [anyone]}, "create_router: changes: expected Depends(...), got <function anyone"),
        ({"changes": "admin"}, "create_router: expected changes=[Depends(...)], got 'admin': put it into a list"),
        ({"caller": anyone}, "create_router: caller: expected Depends(...), got <function anyone"),
        ({"caller": "bob"}, "create_router: caller: expected Depends(...), got 'bob': write Depends(...)"),
        ({"prefix": "tickwork"}, "create_router: expected a prefix such as '/tickwork', got 'tickwork'"),
        ({"prefix": "/"}, "create_router: expected a prefix such as '/tickwork', got '/'"),
        ({"prefix": None}, "create_router: expected a prefix such as '/tickwork', got None"),
    ],
)
def test_what_a_router_cannot_be_made_of_is_refused_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SchedulerError, match=re.escape(message)):
        create_router(**{"scheduler": ManualScheduler(), "dependencies": [Depends(anyone)], **options})


def test_dependencies_guard_every_route(scheduler: ManualScheduler) -> None:
    def admit_friends(request: Request) -> None:
        if request.headers.get("authorization") != "friend":
            raise HTTPException(401, "who is there?")

    app = make_app(scheduler, dependencies=[Depends(admit_friends)], prefix="/tickwork")
    client = Client(app)
    urls = [
        *(("GET", f"/tickwork{path}") for path in (
            "", "/", "/page.css", "/dashboard.js", "/page.js", "/overview", "/health", "/nodes",
            "/jobs", "/jobs/refresh", "/jobs/refresh/why?at=2026-03-01", "/runs", "/runs/x", "/runs/x/log",
            "/backfills", "/backfills/x", "/rights",
        )),
        *(("POST", f"/tickwork/jobs/refresh/{verb}") for verb in ("pause", "resume", "run", "backfill")),
        *(("POST", f"/tickwork/jobs/{verb}") for verb in ("pause", "resume")),
        *(("POST", f"/tickwork/runs/x/{verb}") for verb in ("cancel", "retry")),
        ("POST", "/tickwork/backfills/x/cancel"),
        ("DELETE", "/tickwork/jobs/refresh"),
    ]  # fmt: skip

    for method, url in urls:
        assert client.ask(method, url, headers=JSON).status_code == 401, url
    assert client.get("/tickwork/jobs", headers={"Authorization": "friend"}).status_code == 200
    probes = ["/tickwork/health/live", "/tickwork/health/ready"]
    assert [client.get(url).status_code for url in probes] == [200, 200], "orchestrators have no credentials"
    assert len(urls) + len(probes) == sum(len(methods) for methods in app.openapi()["paths"].values()) + 5


@pytest.mark.parametrize("announced", [True, False])
def test_who_may_call_is_asked_before_a_body_is_read(scheduler: ManualScheduler, announced: bool) -> None:
    def admit_nobody() -> None:
        raise HTTPException(401, "who is there?")

    client = Client(make_app(scheduler, dependencies=[Depends(admit_nobody)]))
    upload = Upload(announced=announced)

    assert client.post("/jobs/refresh/pause", **upload.options).status_code == 401
    assert upload.sent == 0
    for body in (b"{bad", b"[" * 10_000, b'{"reason":NaN}', b'{"reason":7}'):
        assert client.post("/jobs/refresh/pause", content=body).status_code == 401, body


def admins(request: Request) -> None:
    if request.headers.get("authorization") != "admin":
        raise HTTPException(403, "not you")


@pytest.mark.parametrize("dependencies", [None, [Depends(anyone)]], ids=["local names", "guarded"])
def test_who_may_look_may_not_change(scheduler: ManualScheduler, dependencies: list[Any] | None) -> None:
    """`changes` guards each route that is no GET, and `rights` says to each what that makes of them."""
    app = make_app(scheduler, dependencies=dependencies, changes=[Depends(admins)])
    client, admin = Client(app), JSON | {"Authorization": "admin"}
    paths = app.openapi()["paths"]
    changing = [(method, path) for path, methods in paths.items() for method in methods if method != "get"]

    assert len(changing) == 10
    for method, path in changing:
        url = re.sub(r"{\w+}", "refresh", path)
        assert client.ask(method.upper(), url, headers=JSON).status_code == 403, url
        assert client.ask(method.upper(), url, headers=admin).status_code != 403, url
    assert client.get("/jobs").status_code == 200
    assert client.get("/rights").json() == {"change": False}
    assert client.get("/rights", headers=admin).json() == {"change": True}


def test_what_is_no_refusal_is_no_answer_about_rights(scheduler: ManualScheduler) -> None:
    def ask_elsewhere() -> None:
        raise HTTPException(503, "who knows?")

    client = Client(make_app(scheduler, changes=[Depends(ask_elsewhere)]))

    assert client.get("/rights").status_code == 503
    assert Client(make_app(scheduler, dependencies=None, read_only=True)).get("/rights").json() == {"change": False}


def test_an_overview_of_the_jobs_that_are_sought(scheduler: ManualScheduler) -> None:
    found = Client(make_app(scheduler)).get("/overview?search=REFR").json()

    assert [job["id"] for job in found["jobs"]] == ["refresh"]
    assert found["jobs_total"] == 1
    assert Client(make_app(scheduler)).get("/overview?search=xyzzy").json()["jobs_total"] == 0


def test_read_only_leaves_out_what_changes_something(scheduler: ManualScheduler) -> None:
    client = Client(make_app(scheduler, dependencies=None, read_only=True))

    assert client.get("/jobs").status_code == 200
    assert client.get("/overview").json()["read_only"] is True
    assert client.delete("/jobs/refresh").status_code == 405
    for verb in ("pause", "resume", "run"):
        assert client.post(f"/jobs/refresh/{verb}").status_code == 405
    assert not scheduler.get_job("refresh").paused  # type: ignore[union-attr]


@pytest.mark.parametrize("protection", [{}, {"dependencies": None, "unprotected": True}])
@pytest.mark.parametrize("verb", ["pause", "resume", "run"])
@pytest.mark.parametrize(
    "content_type", [None, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
def test_a_page_of_another_site_changes_nothing(
    scheduler: ManualScheduler, protection: dict[str, Any], verb: str, content_type: str | None
) -> None:
    before = scheduler.get_job("refresh")
    client = Client(make_app(scheduler, **protection))
    headers = {"Sec-Fetch-Site": "cross-site"} | ({"Content-Type": content_type} if content_type else {})

    response = client.ask("POST", f"/jobs/refresh/{verb}", headers=headers, content=b"")

    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["detail"]
    assert scheduler.get_job("refresh") == before


def test_what_a_browser_marks_as_from_the_same_origin_needs_no_json(client: Client) -> None:
    """So that the buttons of FastAPI's own /docs work."""
    assert client.ask("POST", "/jobs/refresh/run", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 202


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "app.localhost", "127.0.0.1:8000", "[::1]:8000", "192.168.1.7", "devbox"]
)
def test_an_unprotected_router_answers_to_local_names(scheduler: ManualScheduler, host: str) -> None:
    client = Client(make_app(scheduler, dependencies=None, unprotected=True), base_url=f"http://{host}")

    assert client.get("/jobs").status_code == 200
    assert client.post("/jobs/refresh/run", headers={**JSON, "Origin": f"http://{host}"}).status_code == 202


UNGUARDED: list[dict[str, Any]] = [{"unprotected": True}, {"read_only": True}, {"read_only": True, "dependencies": []}]


@pytest.mark.parametrize("options", UNGUARDED)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "[::1", ""])
def test_an_unprotected_router_does_not_answer_to_a_name_that_someone_let_point_here(
    scheduler: ManualScheduler, host: str, options: dict[str, Any]
) -> None:
    """Read-only or not: what it shows is not for every page on the web either."""
    client = Client(make_app(scheduler, **({"dependencies": None} | options)))

    for url in ("/", "/jobs", "/overview"):
        assert client.get(url, headers={"Host": host}).status_code == 403, url
    assert client.delete("/jobs/refresh", headers={"Host": host}).status_code == (
        405 if "read_only" in options else 403
    )


@pytest.mark.parametrize("origin", ["https://evil.example", "http://6.6.6.6", "null", "http://[::1"])
def test_an_unprotected_router_does_not_answer_to_pages_from_elsewhere(scheduler: ManualScheduler, origin: str) -> None:
    """Even if the app's own CORS policy lets every site in."""
    client = Client(make_app(scheduler, dependencies=None, unprotected=True))

    assert client.post("/jobs/refresh/run", headers={**JSON, "Origin": origin}).status_code == 403
    assert client.get("/jobs", headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("options", UNGUARDED)
def test_an_unprotected_router_answers_to_the_names_it_is_told(
    scheduler: ManualScheduler, options: dict[str, Any]
) -> None:
    def status(allowed_hosts: list[str], **headers: str) -> int:
        app = make_app(scheduler, **({"dependencies": None, "allowed_hosts": allowed_hosts} | options))
        return Client(app).get("/jobs", headers=headers).status_code

    assert status(["jobs.example.com"], Host="jobs.example.com:8443") == 200
    assert status(["jobs.example.com"], Host="127.0.0.1:8000", Origin="https://jobs.example.com") == 200
    assert status(["Jobs.Example.com"], Host="jobs.EXAMPLE.com", Origin="https://JOBS.example.com") == 200
    assert status(["jobs.example.com"], Host="jobs.example.org") == 403
    assert status(["*"], Host="jobs.example.org", Origin="https://evil.example") == 200


def test_a_protected_router_answers_to_every_name(scheduler: ManualScheduler, client: Client) -> None:
    read_only = Client(make_app(scheduler, read_only=True))

    assert client.get("/jobs", headers={"Host": "jobs.example.com"}).status_code == 200
    assert read_only.get("/jobs", headers={"Host": "jobs.example.com"}).status_code == 200


# in an app


def test_a_run_that_waits_is_cancelled_and_one_that_has_ended_is_not(
    scheduler: ManualScheduler, client: Client
) -> None:
    run = client.post("/jobs/refresh/run", headers=JSON).json()

    cancelled = client.post(f"/runs/{run['id']}/cancel", json={"reason": "no need"})
    again = client.post(f"/runs/{run['id']}/cancel", headers=JSON)

    assert cancelled.status_code == 202
    assert (cancelled.json()["state"], cancelled.json()["reason"]) == ("cancelled", "no need")
    assert (again.status_code, again.json()) == (409, {
        "detail": f"cancel_run: expected a run that has not ended, got {run['id']}, which ended as cancelled"
    })  # fmt: skip
    assert client.post("/runs/7-1-1/cancel", headers=JSON).status_code == 404
    assert client.post(f"/runs/{run['id']}/cancel", json={"reason": "two\nlines"}).status_code in (409, 422)


def test_it_works_below_any_prefix_and_twice_in_one_app(scheduler: ManualScheduler) -> None:
    other = ManualScheduler()
    app = FastAPI()
    app.include_router(create_router(scheduler, dependencies=[Depends(anyone)], prefix="/ops/tickwork"))
    app.include_router(create_router(other, read_only=True), prefix="/other")
    client = Client(app)

    assert len(client.get("/ops/tickwork/jobs").json()) == 2
    assert client.get("/other/jobs").json() == []
    assert client.get("/jobs").status_code == 404


def test_the_documentation_of_the_api_is_complete(scheduler: ManualScheduler) -> None:
    paths = make_app(scheduler).openapi()["paths"]

    assert set(paths) == {
        "/jobs", "/jobs/{job_id}", "/jobs/{job_id}/pause", "/jobs/{job_id}/resume", "/jobs/{job_id}/run",
        "/jobs/{job_id}/why", "/runs", "/runs/{run_id}", "/runs/{run_id}/log", "/runs/{run_id}/cancel", "/health", "/overview",
        "/nodes", "/jobs/pause", "/jobs/resume", "/health/live", "/health/ready", "/runs/{run_id}/retry",
        "/jobs/{job_id}/backfill", "/backfills", "/backfills/{backfill_id}", "/backfills/{backfill_id}/cancel", "/rights",
    }  # fmt: skip
    body = paths["/jobs/{job_id}/pause"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"].keys() == {"reason"}


@pytest.mark.parametrize("on_file", [False, True], ids=["memory", "sqlite"])
def test_a_real_scheduler_in_a_real_app(on_file: bool, tmp_path: Path) -> None:
    scheduler = AsyncIOScheduler(f"sqlite:///{tmp_path}/jobs.db" if on_file else None)
    scheduler.add_job(hold_on, "interval", hours=1, id="hold/on")
    app = FastAPI(lifespan=lifespan(scheduler))
    app.include_router(create_router(scheduler, dependencies=[Depends(anyone)]))

    async def main() -> None:
        settled = asyncio.Event()
        loop = asyncio.get_running_loop()
        scheduler.add_listener(lambda event: loop.call_soon_threadsafe(settled.set), RunSettled)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
        ):
            assert (await client.get("/health")).json()["running"] is True
            await client.post("/jobs/hold/on/pause", json={"reason": "a paused job runs by hand too"})
            run = (await client.post("/jobs/hold/on/run", headers=JSON)).json()
            await asyncio.wait_for(settled.wait(), DEADLINE)
            run = (await client.get(f"/runs/{run['id']}")).json()
            assert (run["state"], run["origin"], run["job_id"]) == ("succeeded", "manual", "hold/on")
            assert run["node"] == (await client.get("/health")).json()["node"]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            assert (await client.get("/health")).status_code == 503

    asyncio.run(main())


def test_a_slow_store_does_not_hold_up_the_event_loop() -> None:
    """Every handler that may touch the store is called on a thread."""
    threads: set[threading.Thread] = set()

    class Watched(Scheduler):
        def get_jobs(self, **labels: Any) -> Any:
            threads.add(threading.current_thread())
            return super().get_jobs(**labels)

        def pause_job(self, job_id: str, *, reason: str | None = None, by: str | None = None) -> Any:
            threads.add(threading.current_thread())
            return super().pause_job(job_id, reason=reason, by=by)

    client = Client(make_app(Watched()))
    client.get("/jobs")
    client.get("/overview")
    client.post("/jobs/nobody/pause")

    assert threads
    assert threading.current_thread() not in threads
