"""The command line: what each command prints, what it refuses, and that processes end as they are asked to."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console
from tests.samples import held_run, make_job

from tickwork import Retry, RunState, StoreError
from tickwork.cli import main
from tickwork.cli.arguments import duration
from tickwork.cli.bars import MAX_BARS, Bars, MoveBar
from tickwork.cli.records import print_json
from tickwork.cli.serving import make_app
from tickwork.cli.targets import load_scheduler
from tickwork.cli.watching import Lines, choose_display
from tickwork.cli.words import say_took
from tickwork.jobstate import StateChange
from tickwork.mover import Stage, Step
from tickwork.node import new_node
from tickwork.run import Progress, Run
from tickwork.stores import make_store
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import ManualScheduler
from tickwork.triggers import CronTrigger, IntervalTrigger
from tickwork.triggers.ticks import fire_times

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 15.0
"""Seconds that a process may take for what is asked of it."""

APP = """
import asyncio, time
from pathlib import Path
from tickwork import AsyncIOScheduler, BackgroundScheduler, BlockingScheduler, RunContext

scheduler = AsyncIOScheduler("sqlite:///jobs.db")
memory = AsyncIOScheduler()
background = BackgroundScheduler("sqlite:///jobs.db")
blocking = BlockingScheduler("sqlite:///jobs.db")
number = 42

def make_scheduler():
    return background

@scheduler.scheduled_job("interval", seconds=0.2, id="tick")
@background.scheduled_job("interval", seconds=0.2, id="tick")
@blocking.scheduled_job("interval", seconds=0.2, id="tick")
def tick(name=""):
    return {"ticks": 1}

def tell(run: RunContext):
    run.log.info("no \\x1b[31mway\\ntwo lines")
    for number in range(3000):
        run.log.warning("line %d of many", number)

def fail():
    raise ValueError("no \\x1b[31mway")

stubborn = AsyncIOScheduler("sqlite:///jobs.db")

@stubborn.scheduled_job("date", id="stubborn")
async def hang():
    await asyncio.to_thread(time.sleep, 60)

patient = AsyncIOScheduler("sqlite:///jobs.db")

@patient.scheduled_job("date", id="patient")
async def take_a_while():
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "done"

deaf = AsyncIOScheduler("sqlite:///jobs.db")
deaf.add_listener(lambda event: time.sleep(60))
deaf.add_job(tick, "interval", seconds=0.2, id="tick")

def garble():
    return "\\x9b31m \\u3000 한국어 😀\\n"

crawling = BackgroundScheduler("sqlite:///jobs.db")

@crawling.scheduled_job("date", id="crawler")
def crawl(run: RunContext):
    for page in run.track(range(5), message="pages"):
        run.log.warning("a line of the job")
        while page == 2 and not Path("go").exists():
            time.sleep(0.01)

short = AsyncIOScheduler("sqlite:///jobs.db")

@short.scheduled_job("date", id="last")
def shut_down():
    short.shutdown()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with an app in it, in a zone that is not UTC."""
    (tmp_path / "made_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("TZ", "Asia/Seoul")
    monkeypatch.delenv("TICKWORK_TOKEN", raising=False)
    time.tzset()
    yield tmp_path
    sys.modules.pop("made_app", None)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def ledger(folder: Path) -> str:
    """The URL of a store in which a job ran three times and one failed twice, on the first day of 2026."""
    url = "sqlite:///ledger.db"
    scheduler = ManualScheduler(url, start=START)
    scheduler.add_job("made_app:tick", "interval", seconds=1.5, id="tick")
    retry = Retry(max_attempts=2)
    scheduler.add_job("made_app:fail", "date", run_date=START + timedelta(seconds=4), id="깨진-작업", retry=retry)
    scheduler.start()
    scheduler.advance(timedelta(seconds=5))
    scheduler.shutdown()
    return url


@pytest.fixture
def tickwork(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command in this process."""

    def run(*arguments: str) -> SimpleNamespace:
        code = main(arguments)
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run


# reading


def test_jobs_are_listed_the_next_to_fire_first(ledger, tickwork):
    assert tickwork("jobs", ledger).out == (
        "JOB        NEXT FIRE TIME              STATE      TRIGGER\n"
        "tick       2026-01-01 09:00:06 +09:00  scheduled  every 1.5 seconds from 2026-01-01 00:00 UTC\n"
        "깨진-작업  -                           ended      once at 2026-01-01 00:00:04 UTC\n"
    )


def test_runs_are_listed_newest_first_with_what_became_of_them(ledger, tickwork):
    ids = [run["id"] for run in json.loads(tickwork("runs", ledger, "--json").out)]
    header, *rows = tickwork("runs", ledger).out.splitlines()

    assert header.split() == ["FIRE", "TIME", "JOB", "STATE", "LATE", "TOOK", "NOTE", "RUN"]
    assert [row.removesuffix(id).rstrip() for id, row in zip(ids, rows, strict=True)] == [
        '2026-01-01 09:00:04.500 +09:00  tick       succeeded          0.0 ms  0.0 ms  {"ticks": 1}',
        "2026-01-01 09:00:04 +09:00      깨진-작업  failed, attempt 2  0.0 ms  0.0 ms  ValueError: no ?[31mway",
        "2026-01-01 09:00:04 +09:00      깨진-작업  failed             0.0 ms  0.0 ms  ValueError: no ?[31mway",
        '2026-01-01 09:00:03 +09:00      tick       succeeded          0.0 ms  0.0 ms  {"ticks": 1}',
        '2026-01-01 09:00:01.500 +09:00  tick       succeeded          0.0 ms  0.0 ms  {"ticks": 1}',
    ]
    assert tickwork("log", ledger, rows[1].split()[-1]).code == 0


@pytest.mark.parametrize("command", ["log", "cancel", "retry"])
def test_who_names_a_job_in_place_of_a_run_is_told_which_runs_it_has(ledger, tickwork, command):
    newest = json.loads(tickwork("runs", ledger, "--job", "tick", "--json").out)[0]["id"]
    with closing(make_store(ledger)) as store:
        store.add([make_job("new")])

    tick, new = tickwork(command, ledger, "tick"), tickwork(command, ledger, "new")

    assert f"expected the id of a run, got that of a job: its newest run is {newest}, and `tickwork runs " in tick.err
    assert (
        "expected the id of a run, got that of a job: it has no run yet, and `tickwork runs STORE --job new`" in new.err
    )


def test_a_log_without_lines_says_so(ledger, tickwork):
    run = json.loads(tickwork("runs", ledger, "--limit", "1", "--json").out)[0]["id"]

    shown = tickwork("log", ledger, run)

    assert (shown.code, shown.out, shown.err) == (0, "", f"tickwork: run {run} has logged nothing that is kept\n")


def test_runs_can_be_chosen_by_job_state_and_number(ledger, tickwork):
    def states(*arguments: str) -> list[str]:
        return [run["state"] for run in json.loads(tickwork("runs", ledger, "--json", *arguments).out)]

    assert states("--job", "tick") == ["succeeded"] * 3
    assert states("--state", "failed") == ["failed"] * 2
    assert states("--state", "failed", "--state", "succeeded", "--limit", "4") == [
        "succeeded",
        "failed",
        "failed",
        "succeeded",
    ]
    assert states("--state", "lost") == []


def test_nodes_are_listed_with_what_became_of_them(ledger, tickwork):
    (node,) = json.loads(tickwork("nodes", ledger, "--json").out)

    listed = tickwork("nodes", ledger).out.splitlines()

    assert node["state"] == "stopped"
    assert node["stopped_at"] == node["seen_at"] == "2026-01-01T00:00:05+00:00"
    assert listed[0].split() == [
        "NODE",
        "STATE",
        "HOST",
        "PID",
        "VERSION",
        "STARTED",
        "LAST",
        "HEARD",
        "OF",
        "RUNS",
        "LATE",
    ]
    assert listed[1].startswith(f"{node['id']}  stopped")
    assert "2026-01-01 09:00:05 +09:00" in listed[1]
    assert tickwork("nodes", ledger, "--alive", "--json").out == "[]\n"


def test_health_is_whether_a_node_is_alive_that_fires(ledger, tickwork):
    nobody = tickwork("health", ledger)
    with closing(make_store(ledger)) as store:
        for number, (trouble, *expected) in enumerate([
            ({"paused": True}, 1, "1 node is alive, paused\n"),
            ({"clock_error": timedelta(hours=-1)}, 1, "2 nodes are alive, 1 of them paused, 1 with a wrong clock\n"),
            ({}, 0, "3 nodes are alive, 1 of them paused, 1 with a wrong clock\n"),
        ]):  # fmt: skip
            store.beat(new_node(str(number), store.clock.now(), timedelta(hours=1))._replace(**trouble))
            answer = tickwork("health", ledger)
            assert [answer.code, answer.out] == expected
    as_json = json.loads(tickwork("health", ledger, "--json").out)

    assert (nobody.code, nobody.out) == (1, "no node is alive: nothing fires\n")
    assert as_json["healthy"]
    assert {node["id"]: node["clock_error"] for node in as_json["nodes"]} == {"0": None, "1": -3600, "2": None}
    assert "alive, but its clock is 3600 s behind the store's" in tickwork("nodes", ledger).out


def test_jobs_that_are_overdue_are_listed_as_such_and_make_a_store_unhealthy(folder, tickwork):
    scheduler = ManualScheduler("sqlite:///jobs.db", start=START)
    scheduler.add_job("made_app:fail", "interval", minutes=1, id="fail", expect_every=90)
    scheduler.add_job("made_app:tick", "interval", minutes=1, id="tick", expect_every=90)
    scheduler.start()
    scheduler.advance(timedelta(minutes=2))

    listed = {job["id"]: job for job in json.loads(tickwork("jobs", "sqlite:///jobs.db", "--json").out)}
    health = tickwork("health", "sqlite:///jobs.db")
    as_json = json.loads(tickwork("health", "sqlite:///jobs.db", "--json").out)

    assert [listed[id]["overdue_at"] for id in ("fail", "tick")] == ["2026-01-01T00:01:30+00:00", None]
    assert listed["fail"]["expect_every"] == 90
    assert "scheduled, overdue" in tickwork("jobs", "sqlite:///jobs.db").out
    assert (health.code, health.out) == (
        1, "1 node is alive\nfail is overdue: it was to succeed by 2026-01-01 09:01:30 +09:00\n",
    )  # fmt: skip
    assert (as_json["healthy"], as_json["overdue"]) == (False, ["fail"])


def test_times_are_in_utc_when_asked(ledger, tickwork):
    assert "2026-01-01 00:00:06 +00:00" in tickwork("jobs", ledger, "--utc").out
    assert "2026-01-01 00:00:04.500 +00:00" in tickwork("runs", ledger, "--utc").out


def test_json_has_the_words_of_the_http_api(ledger, tickwork):
    """One word per idea: a program that reads the one can read the other."""
    from tickwork.fastapi.models import JobView, NodeView, RunView

    (job, *_) = json.loads(tickwork("jobs", ledger, "--json").out)
    (run, *_) = json.loads(tickwork("runs", ledger, "--json", "--state", "failed").out)
    (node,) = json.loads(tickwork("nodes", ledger, "--json").out)

    assert job.keys() == JobView.model_fields.keys() - {"last_run"}
    assert node.keys() == NodeView.model_fields.keys()
    assert run.keys() - {"given"} == RunView.model_fields.keys() - {"has_error", "has_arguments"}
    assert job["next_fire_time"] == "2026-01-01T00:00:06+00:00"
    assert run["reason"] == "ValueError: no ?[31mway"
    assert run["error"].startswith("Traceback")


def test_a_terminal_gets_what_fits_and_a_pipe_gets_all(ledger, tickwork, monkeypatch):
    monkeypatch.setenv("COLUMNS", "92")
    whole = tickwork("runs", ledger).out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    narrow = tickwork("runs", ledger).out

    assert max(map(len, whole.splitlines())) > 92
    assert max(len(line) + 4 * ("깨진" in line) for line in narrow.splitlines()) <= 92
    assert "ValueError: n…" in narrow


@pytest.mark.parametrize(("columns", "beside"), [(80, False), (92, False), (160, True), (400, True)])
def test_the_ids_of_runs_are_never_cut(ledger, tickwork, monkeypatch, columns, beside):
    ids = [run["id"] for run in json.loads(tickwork("runs", ledger, "--json").out)]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    lines = tickwork("runs", ledger).out.splitlines()[1 if beside else 2 :]

    assert [line.split()[-1] for line in lines if line.split()[-1] in ids] == ids
    assert len(lines) == len(ids) * (1 if beside else 2)
    assert max(map(len, lines)) <= columns


def test_what_a_job_wrote_cannot_command_the_terminal(ledger, tickwork):
    assert "\x1b" not in tickwork("runs", ledger).out


def test_what_a_job_wrote_cannot_command_the_terminal_in_json_either(folder, tickwork):
    """A C1 control such as U+009B does what ESC [ does."""
    scheduler = ManualScheduler("sqlite:///ledger.db", start=START)
    scheduler.add_job("made_app:garble", "date", run_date=START, id="garble")
    scheduler.start()
    scheduler.run_due()
    scheduler.shutdown()

    printed = tickwork("runs", "sqlite:///ledger.db", "--json").out
    table = tickwork("runs", "sqlite:///ledger.db").out

    assert [letter for letter in printed if not letter.isprintable() and letter != "\n"] == []
    assert "한국어 😀" in printed
    (run,) = json.loads(printed)
    assert run["result"] == "\x9b31m \u3000 한국어 😀\n"
    assert "\x9b" not in table


def test_json_is_printable_and_reads_as_what_it_was(capsys):
    records = ["\x9b31m", "\x7f", "\u202e", "\u3000", "\U000e0001", "\ud800", "\n", "한국어 😀"]

    print_json(records)

    printed = capsys.readouterr().out
    assert all(letter.isprintable() for letter in printed.replace("\n", ""))
    assert "한국어 😀" in printed
    assert json.loads(printed) == records


def test_a_run_that_goes_on_tells_for_how_long(ledger):
    with closing(SQLiteStore("ledger.db")) as store:
        run = store.runs(job_id="tick", limit=1)[0]
    running = run._replace(ended_at=None, state=RunState.RUNNING)

    def took(seconds: float) -> str:
        return say_took(running, run.started_at + timedelta(seconds=seconds))

    assert [took(-3), took(0.2), took(24.4), took(59.6), took(5_400)] == [
        "for 0 s", "for 0 s", "for 24 s", "for 1 min 00 s", "for 1 h 30 min",
    ]  # fmt: skip
    assert say_took(running._replace(started_at=None), START) == "-"
    assert say_took(run, START) == "0.0 ms"


def test_runs_shows_for_how_long_a_run_has_been_going_on(ledger, tickwork):
    """The row as its node leaves it when it tells the store that it is alive."""
    began = round((time.time() - 7_500) * 1e6)
    with closing(sqlite3.connect("ledger.db", isolation_level=None)) as other:
        other.execute("update tickwork_runs set state = 'running', started_at = ?, ended_at = null", [began])

    assert all("  for 2 h 05 min  " in line for line in tickwork("runs", ledger).out.splitlines()[1:])


def test_the_states_of_runs_are_listed(tickwork, capsys):
    with pytest.raises(SystemExit):
        tickwork("runs", "--help")

    said = " ".join(capsys.readouterr().out.split())
    assert "--state STATE pending, running, succeeded, failed, timed_out, cancelled, lost, missed, skipped;" in said


def test_log_shows_what_a_run_has_logged(folder, tickwork):
    scheduler = ManualScheduler("sqlite:///logs.db", start=START)
    scheduler.add_job("made_app:tell", "date", id="tell")
    scheduler.add_job("made_app:tick", "date", id="tick")
    scheduler.start()
    scheduler.run_due()
    told, silent = (scheduler.get_runs(job_id)[0].id for job_id in ("tell", "tick"))
    scheduler.shutdown()

    first, second, third, *others = tickwork("log", "sqlite:///logs.db", told).out.splitlines()
    record = json.loads(tickwork("log", "sqlite:///logs.db", told, "--json").out)

    assert first == "2026-01-01 09:00:00 +09:00 INFO    made_app  no  [31mway"
    assert second == "    two lines"
    assert third == "2026-01-01 09:00:00 +09:00 WARNING made_app  line 0 of many"
    assert others[-1].endswith("line 2999 of many")
    assert record["beginning"][0]["text"] == "no \x1b[31mway\ntwo lines"
    assert f"... {record['left_out']:,} lines with {record['left_out_length']:,} characters were not kept ..." in others
    assert tickwork("log", "sqlite:///logs.db", told, "--utc").out.startswith("2026-01-01 00:00:00 +00:00")
    assert tickwork("log", "sqlite:///logs.db", silent).out == ""
    assert "expected the id of a run, got 'nobody'" in tickwork("log", "sqlite:///logs.db", "nobody").err


def test_state_shows_what_the_runs_of_a_job_hand_on(ledger, tickwork):
    with closing(SQLiteStore("ledger.db")) as store:
        store.open()
        change = StateChange(store.get("tick").uid, {"cursor": 0}, {"cursor": ["\x1b[31m", 7]})
        store.save_state(change)

    shown = tickwork("state", ledger, "tick").out

    assert json.loads(shown) == {"cursor": ["\x1b[31m", 7]}
    assert shown.replace("\n", "").isprintable()
    assert json.loads(tickwork("state", ledger, "깨진-작업").out) == {}
    assert "did you mean 'tick'?" in tickwork("state", ledger, "tik").err


def test_a_store_can_be_named_by_its_scheduler(folder, tickwork):
    background = load_scheduler("made_app:background")
    background.start()
    background.shutdown()

    listed = tickwork("jobs", "made_app:make_scheduler")

    assert listed.code == 0
    assert listed.out.splitlines()[1].startswith("tick ")


def test_reading_makes_no_file(folder, tickwork):
    for command in ("jobs", "runs"):
        for store in ("sqlite:///nothing.db", "made_app:scheduler"):
            refused = tickwork(command, store)
            assert refused.code == 2
            assert refused.err.startswith(f"tickwork: expected a SQLite file at {folder}/")
            assert refused.err.endswith("got none: it is made when a scheduler first starts on it\n")

    assert [path.name for path in folder.iterdir() if path.name != "__pycache__"] == ["made_app.py"]


@pytest.mark.parametrize("server", ["postgresql_url", "redis_url"])
def test_reading_makes_nothing_on_a_server(server, request, tickwork):
    url = request.getfixturevalue(server)

    for command in ("jobs", "runs", "jobs"):
        refused = tickwork(command, url)
        assert refused.code == 2
        assert "got a server without one: it is made when a scheduler first starts on it\n" in refused.err


def test_a_file_that_is_not_ours_is_left_as_it_is(folder, tickwork):
    (folder / "other.db").touch()
    (folder / "text.db").write_text("not a database, but long enough to look at" * 10)

    assert "tickwork: expected a SQLite file with tickwork's tables at" in tickwork("jobs", "sqlite:///other.db").err
    assert "got: file is not a database" in tickwork("jobs", "sqlite:///text.db").err
    assert (folder / "other.db").stat().st_size == 0


def test_why_says_what_became_of_a_time(ledger, tickwork):
    asked = tickwork("why", ledger, "깨진-작업", "2026-01-01 09:00:04")

    lines = asked.out.splitlines()
    assert asked.code == 0
    assert lines[0].startswith("깨진-작업 at 2026-01-01 09:00:04 +09:00: attempt 2 ran on node ")
    assert lines[0].endswith("and failed: ValueError: no ?[31mway; attempt 1 failed: ValueError: no ?[31mway")
    assert [line.split()[:6] for line in lines[2:]] == [
        ["FIRE", "TIME", "JOB", "STATE", "LATE", "TOOK"],
        ["2026-01-01", "09:00:04", "+09:00", "깨진-작업", "failed", "0.0"],
        ["2026-01-01", "09:00:04", "+09:00", "깨진-작업", "failed,", "attempt"],
    ]


def test_why_says_what_is_no_fire_time_and_names_the_nearest(ledger, tickwork):
    asked = tickwork("why", ledger, "tick", "2026-01-01T00:00:02Z")

    assert asked.out == (
        "tick at 2026-01-01 09:00:02 +09:00: not a fire time of this job (the nearest are "
        "2026-01-01 09:00:01.500 +09:00 and 2026-01-01 09:00:03 +09:00)\n"
    )


def test_why_takes_a_fire_time_within_the_second(ledger, tickwork):
    (answer,) = [json.loads(tickwork("why", ledger, "tick", "2026-01-01 09:00:01", "--json").out)]

    assert (answer["verdict"], answer["fire_time"]) == ("succeeded", "2026-01-01T00:00:01.500000+00:00")


@pytest.mark.parametrize(
    ("time", "options", "instant"),
    [
        ("2030-03-01 09:00", [], "2030-03-01T00:00:00+00:00"),
        ("2030-03-01 09:00", ["--tz", "UTC"], "2030-03-01T09:00:00+00:00"),
        ("2030-03-01 09:00+01:00", ["--tz", "UTC"], "2030-03-01T08:00:00+00:00"),
    ],
)
def test_a_time_is_read_in_the_zone_that_was_named_or_in_the_local_one(ledger, tickwork, time, options, instant):
    assert json.loads(tickwork("why", ledger, "tick", time, "--json", *options).out)["instant"] == instant


def test_a_time_of_a_cron_is_read_and_shown_in_its_zone(folder, tickwork):
    scheduler = ManualScheduler("sqlite:///ledger.db", start=START)
    scheduler.add_job("made_app:tick", "cron", hour=9, timezone="Europe/Berlin", id="cron")
    scheduler.start()
    scheduler.shutdown()

    asked = tickwork("why", "sqlite:///ledger.db", "cron", "2090-03-01 09:00")

    assert asked.out == "cron at 2090-03-01 09:00:00 +01:00: will run at 2090-03-01 09:00:00 +01:00\n"


def test_a_time_alone_is_that_of_today(ledger, tickwork):
    answer = json.loads(tickwork("why", ledger, "tick", "00:00Z", "--json").out)

    assert abs(datetime.fromisoformat(answer["instant"]) - datetime.now(UTC)) < timedelta(days=1, minutes=1)
    assert answer["instant"].endswith("T00:00:00+00:00")


def test_the_json_of_an_answer_has_the_words_of_the_http_api(ledger, tickwork):
    from tickwork.fastapi.models import AnswerView

    answer = json.loads(tickwork("why", ledger, "tick", "2026-01-01T00:00:03Z", "--json").out)

    assert answer.keys() == AnswerView.model_fields.keys()
    assert "UTC" in answer["sentence"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tick", "soon"], "TIME: expected a time such as"),
        (["tick", "09:00", "--tz", "Mars"], "timezone: expected an IANA name"),
        (["tack", "09:00"], "expected the id of a job, got 'tack' (did you mean 'tick'?)"),
        (["tick"], "expected TIME"),
    ],
)
def test_why_refuses_what_it_cannot_answer(ledger, tickwork, arguments, message):
    asked = tickwork("why", ledger, *arguments)

    assert asked.code == 2
    assert message in asked.err


# changing a job


def test_the_ledger_is_pruned(ledger, tickwork):
    """The rows are old: the defaults keep a month."""
    counted = tickwork("prune", ledger, "--count", "2")
    aged = tickwork("prune", ledger, "--age", "1w 12h")
    nothing = tickwork("prune", ledger)

    assert [asked.out for asked in (counted, aged, nothing)] == [
        "1 row is deleted\n", "4 rows are deleted\n", "0 rows are deleted\n",
    ]  # fmt: skip
    assert tickwork("runs", ledger).out.count("\n") == 1


@pytest.mark.parametrize("written", ["30", "d", "1y", "-1d", "", "9999999999999d", "99999d"])
def test_what_is_no_length_of_time(ledger, tickwork, written):
    refused = tickwork("prune", ledger, f"--age={written}")

    assert refused.code == 2
    assert "--age: expected a length of time" in refused.err


def test_a_job_is_paused_and_resumed(ledger, tickwork):
    paused = tickwork("pause", ledger, "tick", "--reason", "the source moves", "--by", "앨리스").out
    assert paused == "tick is paused by 앨리스: the source moves\n"
    assert tickwork("jobs", ledger).out.splitlines()[-1].split(maxsplit=2)[2].startswith("paused by 앨리스: the source")
    assert tickwork("resume", ledger, "tick").out.startswith("tick is scheduled, next fire time 20")
    assert "paused" not in tickwork("jobs", ledger).out


def test_what_is_so_already_is_told(ledger, tickwork):
    tickwork("pause", ledger, "tick", "--reason", "the source moves", "--by", "alice")

    again = tickwork("pause", ledger, "tick", "--by", "bob").out
    tickwork("resume", ledger, "tick")

    assert again == "tick is paused by alice: the source moves (it was paused already)\n"
    assert tickwork("resume", ledger, "tick").out.endswith(" (it was not paused)\n")


def test_several_jobs_are_paused_and_resumed_by_their_labels(ledger, tickwork):
    with closing(make_store(ledger)) as store:
        store.add([make_job("a", tags=("etl",)), make_job("b", tags=("etl",), metadata={"team": "search"})])

    one = tickwork("pause", ledger, "--tag", "etl", "--metadata", "team=search", "--by", "alice").out
    both = tickwork("pause", ledger, "--tag", "etl", "--by", "bob").out.splitlines()
    resumed = tickwork("resume", ledger, "--tag", "etl").out

    assert one == "b is paused by alice\n"
    assert sorted(both) == ["a is paused by bob", "b is paused by alice (it was paused already)"]
    assert re.findall(r"^(\w) is scheduled", resumed, re.MULTILINE) == ["a", "b"]


def test_a_job_is_run_now_and_removed(ledger, tickwork):
    asked = tickwork("run-now", ledger, "tick").out
    (waiting,) = json.loads(tickwork("runs", ledger, "--state", "pending", "--json").out)

    assert asked == f"tick will run in the next process with room; the run is {waiting['id']}\n"
    assert tickwork("remove", ledger, "tick").out == "tick is removed\n"
    assert "tick" not in tickwork("jobs", ledger).out
    assert [run["state"] for run in json.loads(tickwork("runs", ledger, "--job", "tick", "--json").out)] == [
        "cancelled", "succeeded", "succeeded", "succeeded",
    ]  # fmt: skip


def test_jobs_are_found_by_their_labels(folder, tickwork):
    url = "sqlite:///labels.db"
    scheduler = ManualScheduler(url, start=START)
    scheduler.add_job("made_app:tick", "interval", hours=1, id="a", tags=["etl"], metadata={"team": "a=b"})
    scheduler.add_job("made_app:tick", "interval", hours=1, id="b")
    scheduler.start()
    scheduler.shutdown()

    (job,) = json.loads(tickwork("jobs", url, "--tag", "etl", "--metadata", "team=a=b", "--json").out)

    assert (job["id"], job["tags"], job["metadata"]) == ("a", ["etl"], {"team": "a=b"})
    assert json.loads(tickwork("jobs", url, "--tag", "hourly", "--json").out) == []
    assert "expected an entry such as team=search, got 'team'" in tickwork("jobs", url, "--metadata", "team").err


def test_a_range_of_the_past_is_run_after_all(ledger, tickwork):
    asked = tickwork(
        "backfill", ledger, "tick", "2026-01-01 00:00:00Z", "2026-01-01 00:00:03Z", "--everything", "--tz", "UTC",
        "--max-instances", "2", "--kwargs", '{"name": "a"}', "--by", "alice",
    )  # fmt: skip

    assert asked.out.startswith("tick is run from 2026-01-01 00:00:00 +00:00 to 2026-01-01 00:00:03 +00:00: ")
    backfill = asked.out.split()[-1]
    shown = tickwork("backfills", ledger, "--utc").out.splitlines()[1]
    assert shown.split("  ")[:2] == [backfill, "tick"]
    assert shown.endswith("  at 2026-01-01 00:00:00 +00:00  0     alice")
    (record,) = json.loads(tickwork("backfills", ledger, "--job", "tick", "--json").out)
    assert (record["id"], record["given"], record["everything"]) == (
        backfill,
        {"args": [], "kwargs": {"name": "a"}},
        True,
    )
    assert (
        tickwork("cancel-backfill", ledger, backfill, "--reason", "no need").out == f"{backfill} of tick is cancelled\n"
    )
    assert "  ended: no need (by " in tickwork("backfills", ledger).out
    assert "which has ended" in tickwork("cancel-backfill", ledger, backfill).err


def test_the_json_of_a_backfill_has_the_words_of_the_http_api(ledger, tickwork):
    from tickwork.fastapi.models import BackfillView

    tickwork("backfill", ledger, "tick", "2026-01-01 00:00:00Z", "2026-01-01 00:00:03Z", "--everything")
    (record,) = json.loads(tickwork("backfills", ledger, "--json").out)

    assert record.keys() - {"given"} == BackfillView.model_fields.keys() - {"has_arguments"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["yesterday", "2026-01-01"], "START: expected"),
        (["2026-01-01", "99"], "END: expected"),
        (["2026-01-02", "2026-01-01"], "backfill_job: expected an end that is not before the start"),
        (
            ["2026-01-01", "2026-01-01", "--max-instances", "101"],
            "--max-instances: expected a whole number from 1 to 100",
        ),
        (["2026-01-01", "2026-01-01", "--tz", "Mars"], "timezone: expected an IANA name"),
    ],
)
def test_a_range_that_makes_no_sense_is_one_line(ledger, tickwork, options, said):
    refused = tickwork("backfill", ledger, "tick", *options)

    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert refused.err.count("\n") == 1


def test_a_run_is_tried_again(ledger, tickwork):
    (second, first) = json.loads(tickwork("runs", ledger, "--json", "--state", "failed").out)
    (succeeded, *_) = json.loads(tickwork("runs", ledger, "--json", "--state", "succeeded").out)

    again = tickwork("retry", ledger, second["id"])

    assert again.out == f"깨진-작업 will run in the next process with room; attempt 3 is {first['id'][:-1]}3\n"
    assert "which attempt 3 follows: it is pending" in tickwork("retry", ledger, second["id"]).err
    assert "which did: pass even_if_succeeded=True" in tickwork("retry", ledger, succeeded["id"]).err
    assert tickwork("retry", ledger, succeeded["id"], "--even-if-succeeded").code == 0


def test_a_job_is_run_now_with_other_arguments(ledger, tickwork):
    run = tickwork("run-now", ledger, "tick", "--kwargs", '{"name": "ä"}', "--args", "[]").out.split()[-1]

    (waiting,) = json.loads(tickwork("runs", ledger, "--state", "pending", "--json").out)
    assert (waiting["id"], waiting["given"]) == (run, {"args": [], "kwargs": {"name": "ä"}})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--args", "7"], "--args: expected a JSON list such as '[1, \"a\"]', got '7'"),
        (["--args", "[1"], "--args: expected a JSON list"),
        (["--args", "[" * 100_000], "--args: expected a JSON list"),
        (["--kwargs", "[]"], "--kwargs: expected a JSON object such as '{\"name\": 1}', got '[]'"),
        (["--args", '["a", "b"]'], "args, kwargs: expected what tick"),
        (["--by", ""], "--by: expected 1 to 200 printable characters"),
    ],
)
def test_arguments_that_make_no_sense_are_one_line(ledger, tickwork, options, said):
    refused = tickwork("run-now", ledger, "tick", *options)

    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"tickwork: {said}")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize(("user", "by"), [("bob", "bob"), ("앨리스", "앨리스"), ("a\tb", None)])
def test_who_changes_something_is_whoever_types(ledger, tickwork, monkeypatch, user, by):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, user)

    run = tickwork("run-now", ledger, "tick").out.split()[-1]
    (waiting,) = json.loads(tickwork("runs", ledger, "--state", "pending", "--json").out)

    assert (waiting["id"], waiting["asked_by"]) == (run, by)


def test_a_run_is_cancelled(ledger, tickwork):
    run = tickwork("run-now", ledger, "tick").out.split()[-1]

    assert tickwork("cancel", ledger, run, "--reason", "no need").out == f"{run} of tick is cancelled\n"
    assert tickwork("cancel", ledger, run).err == (
        f"tickwork: cancel_run: expected a run that has not ended, got {run}, which ended as cancelled\n"
    )


# fire times


def test_next_shows_a_cron_in_its_zone(tickwork):
    shown = tickwork("next", "0 3 * * 1-5", "--tz", "Asia/Seoul", "-n", "2", "--after", "2030-03-01 04:00").out

    lines = [line.split("  ")[:2] for line in shown.splitlines()]
    assert lines[1:] == [["2030-03-04 03:00:00 +09:00", "Mon"], ["2030-03-05 03:00:00 +09:00", "Tue"]]
    assert " d " in shown.splitlines()[1]


def test_next_shows_both_sides_of_a_clock_change(tickwork):
    shown = tickwork("next", "0 12 * * *", "--tz", "Europe/Berlin", "-n", "2", "--after", "2030-03-30").out

    assert "2030-03-30 12:00:00 +01:00" in shown
    assert "2030-03-31 12:00:00 +02:00" in shown


def test_next_shows_an_interval_from_now_on(tickwork):
    times = json.loads(tickwork("next", "every 1h 30m", "--after", "2030-01-01T00:00Z", "-n", "2", "--json").out)[
        "fire_times"
    ]

    assert times == ["2030-01-01T01:30:00+00:00", "2030-01-01T03:00:00+00:00"]


@pytest.mark.parametrize(
    "trigger",
    [
        IntervalTrigger(hours=1),
        IntervalTrigger(seconds=1.5, start_date="2029-01-01T00:00Z"),
        IntervalTrigger(days=1, hours=12, start_date="2029-01-01T06:30:00.25Z", end_date="2031-01-01T00:00Z"),
        CronTrigger("0 3 * * 1-5", timezone="Asia/Seoul"),
        CronTrigger(hour=23, day="last", timezone="Asia/Seoul", end_date="2031-01-01T00:00Z"),
    ],
    ids=str,
)
def test_next_reads_a_trigger_as_jobs_shows_it(tickwork, trigger):
    after = datetime(2030, 1, 1, tzinfo=UTC)
    shown = json.loads(tickwork("next", str(trigger), "--after", after.isoformat(), "-n", "3", "--json").out)

    assert shown["fire_times"] == [at.isoformat() for at in islice(fire_times(trigger.anchored(after), after), 3)]


def test_next_shows_the_fire_times_of_a_job(ledger, tickwork):
    shown = tickwork("next", ledger, "--job", "tick", "-n", "2").out.splitlines()

    assert [line.split("  ")[0] for line in shown[1:]] == [
        "2026-01-01 09:00:06 +09:00",
        "2026-01-01 09:00:07.500 +09:00",
    ]


def test_next_says_that_a_job_is_paused(ledger, tickwork):
    tickwork("pause", ledger, "tick")

    assert tickwork("next", ledger, "--job", "tick").err == (
        "tickwork: job 'tick' is paused, and does not fire until it is resumed\n"
    )


def test_next_shows_what_is_left_out_shifted_and_jittered_and_why(tickwork):
    left_out = tickwork(
        "next",
        "0 9 * * *",
        "--tz",
        "Asia/Seoul",
        "--exclude",
        "sat-sun",
        "--exclude",
        "holidays KR",
        "-n",
        "2",
        "--after",
        "2026-09-23",
    ).out.splitlines()
    shifted = tickwork(
        "next",
        "0 9 25 * *",
        "--tz",
        "Asia/Seoul",
        "--only",
        "business days KR",
        "--shift",
        "previous",
        "-n",
        "1",
        "--after",
        "2026-09-01",
    ).out
    jittered = tickwork(
        "next", "0 9 * * *", "--jitter", "30", "--seed", "refresh", "-n", "1", "--after", "2026-09-23"
    ).out

    assert left_out[0].endswith("NOTE")
    assert left_out[1].startswith("2026-09-23 09:00:00 +09:00")
    assert left_out[2].endswith("left out: The day preceding Chuseok (KR)")
    assert left_out[-1].startswith("2026-09-28 09:00:00 +09:00")
    assert "shifted from 2026-09-25 09:00:00 +09:00: Chuseok (KR)" in shifted
    assert re.search(r"2026-09-23 09:00:\d\d\.\d{3} \+00:00 .* jitter [\d.]+ s", jittered)


def test_next_says_what_is_left_out_in_a_row_in_one_line(tickwork):
    shown = tickwork("next", "* * * * *", "--exclude", "22:00-06:00", "-n", "1", "--after", "2026-09-23T22:00Z").out
    ended = tickwork("next", "0 9 * * *", "--exclude", "2026-09-24/", "-n", "2", "--after", "2026-09-23").out

    assert "left out through 2026-09-24 05:59:00 +00:00: within 22:00-06:00" in shown
    assert "left out from then on: within 2026-09-24/" in ended


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_next_refuses_a_day_without_one_beside_it(tickwork, day):
    assert tickwork("next", "0 9 * * *", "--day", day).err.startswith(
        "tickwork: --day: expected a date such as 2026-12-24, from 0001-01-03 to 9999-12-29, got "
    )


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
@pytest.mark.parametrize("day", ["0001-01-03", "9999-12-29"])
def test_next_shows_the_first_day_and_the_last(tickwork, day, zone):
    assert tickwork("next", "every 1h", "--day", day, "--tz", zone).code == 0


def test_next_compares_until_the_end_of_time(tickwork):
    assert tickwork("next", "0 9 * * *", "--compare", "0 10 * * *", "--after", "9999-12-30 00:00").code == 0


def test_next_shows_a_day(tickwork):
    shown = tickwork("next", "0 */6 * * *", "--tz", "Asia/Seoul", "--day", "2026-09-23").out.splitlines()

    assert [line[11:16] for line in shown[1:]] == ["00:00", "06:00", "12:00", "18:00"]


def test_next_explains_in_english_and_korean(tickwork):
    english = tickwork("next", "0 9 * * 1-5", "--tz", "Asia/Seoul", "--explain").out.splitlines()
    korean = tickwork("next", "0 9 * * 1-5", "--tz", "Asia/Seoul", "--explain", "ko").out.splitlines()

    assert english[0] == "every weekday at 09:00, Asia/Seoul"
    assert korean[0] == "평일 매일 09:00, Asia/Seoul"
    assert english[1].startswith("FIRE TIME")


def test_next_explains_all_of_it_in_one_language(tickwork):
    arguments = ["next", "30 2 * * *", "--tz", "Europe/Berlin", "--after", "2026-03-27 12:00", "-n", "1"]
    shown = tickwork(*arguments, "--exclude", "sat-sun", "--explain", "ko")
    moved = tickwork(*arguments, "--exclude", "2026-03-28", "--shift", "next", "--jitter", "0.001", "--explain", "ko")

    notes = [
        line.rsplit("  ", 1)[-1].strip() for line in shown.out.splitlines()[2:4]
    ]  # "9 h ago" is shorter than "10 h ago"
    assert notes == ["제외: 토요일", "제외: 일요일"]
    assert shown.err == ""
    assert "2026-03-28 02:30:00 +01:00에서 이동: 지정한 날짜 2026-03-28" in moved.out
    assert moved.err.splitlines()[:2] == [
        "tickwork: 2026-03-29 Europe/Berlin: 시계가 02:00에서 03:00(으)로 바뀌어 02:30 시각이 없음: 03:00에 실행",
        "tickwork: 2026-10-25 Europe/Berlin: 시계가 03:00에서 02:00(으)로 바뀌어 02:30 시각이 두 번 옴: 첫 번째에 실행",
    ]


@pytest.mark.parametrize("store", ["sqlite:///jobs.db", "postgresql://localhost/jobs", "app.jobs:scheduler"])
def test_next_of_a_store_says_how_a_job_is_named(tickwork, store):
    refused = tickwork("next", store)

    assert refused.code == 2
    assert f"write `tickwork next {store} --job ID`" in refused.err


def test_next_warns_of_clock_changes(tickwork):
    warned = tickwork(
        "next", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "1", "--after", "2026-01-01"
    ).err.splitlines()

    assert warned == [
        "tickwork: 2026-03-29 Europe/Berlin: the clock goes from 02:00 to 03:00, so 02:30 does not exist: it fires at 03:00",
        "tickwork: 2026-10-25 Europe/Berlin: the clock goes from 03:00 to 02:00, so 02:30 comes twice: it fires the first time",
    ]


def test_next_compares_two_triggers(tickwork):
    arguments = ["next", "0 9 * * *", "--compare", "30 8 * * mon-fri", "--days", "4", "--after", "2026-12-03"]

    shown = [line.split("  ") for line in tickwork(*arguments).out.splitlines()]
    record = json.loads(tickwork(*arguments, "--json").out)
    alike = tickwork("next", "0 9 * * *", "--compare", '{"kind": "cron", "hour": 9}', "--days", "4").out

    assert [(line[0][:10], line[-1]) for line in shown[1:]] == [
        ("2026-12-03", "moved to 2026-12-03 08:30:00 +00:00"),
        ("2026-12-04", "moved to 2026-12-04 08:30:00 +00:00"),
        ("2026-12-05", "gone"),
        ("2026-12-06", "gone"),
    ]
    assert record["only_first"] == ["2026-12-05T09:00:00+00:00", "2026-12-06T09:00:00+00:00"]
    assert record["moved"][0] == ["2026-12-03T09:00:00+00:00", "2026-12-03T08:30:00+00:00"]
    assert alike == "no difference in 4 days: 4 fire times\n"


def test_next_writes_all_of_it_as_json(tickwork):
    record = json.loads(
        tickwork(
            "next",
            "30 2 * * *",
            "--tz",
            "Europe/Berlin",
            "--exclude",
            "sat",
            "--explain",
            "ko",
            "-n",
            "2",
            "--after",
            "2026-03-27 12:00",
            "--json",
        ).out
    )

    assert record["trigger"]["kind"] == "filtered"
    assert record["explanation"] == "매일 02:30, Europe/Berlin, 토요일 제외"
    assert record["fire_times"] == ["2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]
    assert record["ticks"][0] == {
        "at": "2026-03-28T01:30:00+00:00",
        "excluded": "토요일",
        "through": None,
        "shifted_from": None,
        "why": None,
        "jitter": 0.0,
    }
    assert record["clock_changes"][0]["outcome"] == "moved"


def test_next_takes_any_trigger_as_json(tickwork):
    trigger = {
        "kind": "any-of",
        "triggers": [{"kind": "cron", "hour": 9}, {"kind": "calendarinterval", "days": 1, "hour": 8}],
    }

    shown = tickwork("next", json.dumps(trigger), "-n", "2", "--after", "2026-09-23").out.splitlines()

    assert [line[11:16] for line in shown[1:]] == ["08:00", "09:00"]


def test_next_shows_the_calendar_of_a_job(folder, tickwork):
    scheduler = ManualScheduler("sqlite:///ledger.db", start=START)
    scheduler.add_job("made_app:tick", "cron", hour=9, exclude="sat-sun", jitter=30, id="tick", timezone="Asia/Seoul")
    scheduler.start()
    scheduler.shutdown()

    shown = tickwork("next", "sqlite:///ledger.db", "--job", "tick", "-n", "3").out.splitlines()

    assert [line[:10] for line in shown[1:]] == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]
    assert "jitter" in shown[1]
    assert shown[3].endswith("left out: a Saturday")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0", 0), ("30", 30), ("0.5", 0.5), ("30s", 30), ("1m", 60), ("1h 30m", 5400), ("1w2d", 777600)],
)
def test_a_length_of_time_without_a_unit_is_in_seconds(written, seconds):
    assert duration(written) == timedelta(seconds=seconds)


def test_a_time_is_read_in_the_zone_of_the_machine_if_nothing_names_one(folder, tickwork):
    """As it is shown."""
    local = tickwork("next", "every 10m", "--after", "2026-09-23 09:00", "-n", "1").out
    berlin = tickwork("next", "0 10 * * *", "--tz", "Europe/Berlin", "--after", "2026-09-23 09:00", "-n", "1").out

    assert "2026-09-23 09:10:00 +09:00" in local
    assert "2026-09-23 10:00:00 +02:00" in berlin


# what goes wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jbos"], "expected a command, got 'jbos' (did you mean 'jobs'?)"),
        (["jobs"], "expected STORE: see `tickwork jobs --help`"),
        (["remove", "sqlite:///x.db"], "expected JOB: see `tickwork remove --help`"),
        (["pause", "sqlite:///ledger.db"], "expected JOB, or --tag or --metadata, got neither: see `tickwork pause --help`"),
        (["resume", "sqlite:///ledger.db", "tick", "--tag", "x"], "expected JOB, or --tag or --metadata, got both: see"),
        (["pause", "sqlite:///ledger.db", "--tag", "none"], "expected jobs with these labels, got none: "),
        (["resume", "sqlite:///ledger.db", "tik"], "expected the id of a job, got 'tik' (did you mean 'tick'?)"),
        (["jobs", "a", "b"], "did not expect 'b': see `tickwork jobs --help`"),
        (["runs", "a", "--stat", "failed"], "did not expect '--stat' (did you mean '--state'?): see `tickwork runs --help`"),
        (["jobs", "a", "--tags=etl"], "did not expect '--tags=etl' (did you mean '--tag'?): see `tickwork jobs --help`"),
        (["jobs", "a", "--" + 5_000 * "x"], "xxx...: see `tickwork jobs --help`"),
        (["runs", "x", "--limit", "0"], "--limit: expected a whole number from 1 to 10000, got '0': see `"),
        (["runs", "x", "--state", "fialed"], "expected the state of a run, got 'fialed' (did you mean 'failed'?)"),
        (["pause", "sqlite:///ledger.db", "\udcff"], r"expected arguments in UTF-8, got b'\xff'"),
        (["pause", "sqlite:///ledger.db", "tick", "--reason", "\udcff"], "expected arguments in UTF-8, got b'"),
        (["\udcff"], "expected arguments in UTF-8, got b'"),
        (["run", "x:y", "--timeout", "-1"], "--timeout: expected "),
        (["run", "x:y", "--timeout", "soon"], "expected a length of time such as 30s, 10m or '1h 30m', at most 1 d, got 'soon'"),
        (["run", "x:y", "--timeout", "25h"], "--timeout: expected a length of time such as 30s, 10m"),
        (["prune", "sqlite:///ledger.db", "--age", "30"], "--age: expected a length of time with its unit, such as 30d, got '30'"),
        (["next", "0 9 * * *", "--jitter", "9999999d"], "--jitter: expected a length of time"),
        (["jobs", "ledger.db"], "expected MODULE:SCHEDULER, got 'ledger.db': write sqlite:///ledger.db"),
        (["jobs", "made_app"], "expected MODULE:SCHEDULER, got 'made_app', as in app.jobs:scheduler"),
        (["jobs", "nowhere:scheduler"], "on the path, got 'nowhere' in 'nowhere:scheduler'"),
        (["jobs", "made_app:schedule"], "in made_app, got nothing called 'schedule' (did you mean 'scheduler'?)"),
        (["jobs", "made_app:number"], "expected a scheduler at 'made_app:number', got int: name the scheduler itself"),
        (["jobs", "broken_app:scheduler"], "broken_app.py:2: division by zero"),
        (["jobs", "made_app:memory"], "expected a store that other processes can see, got memory"),
        (["jobs", "mysql://x"], "store: expected "),
        (["runs", "sqlite:///ledger.db", "--job", "tik"], "expected the id of a job, got 'tik' (did you mean 'tick'?)"),
        (["pause", "sqlite:///ledger.db", "tik"], "expected the id of a job, got 'tik' (did you mean 'tick'?)"),
        (["next", "sqlite:///ledger.db", "--job", "tik"], "expected the id of a job, got 'tik' (did you mean 'tick'?)"),
        (["next", "0 24 * * *"], "24"),
        (["next", "0 3 * * *", "--tz", "Asia/Seul"], "(did you mean 'Asia/Seoul'?)"),
        (["next", "0 3 * * *", "--after", "tomorrow"], "--after: expected a time such as"),
        (["next", "every 10 fortnights"], "'every 10m' or 'every 1h 30m', got 'every 10 fortnights'"),
        (["next", "every 0s"], "interval: expected one millisecond or more"),
        (["next", "0 9 * * *", "--exclude", "full moons"], "calendar: expected '2026-12-25', 'sat-sun', "),
        (["next", "0 9 * * *", "--exclude", "holidays XX"], "holidays: expected a country or an exchange"),
        (["next", "0 9 * * *", "--jitter", "0"], "jitter: expected seconds, a timedelta or a text"),
        (["next", "0 9 * * *", "--shift", "next"], "filtered: expected exclude or only, got neither"),
        (["next", "0 9 * * *", "--day", "tomorrow"], "--day: expected a date such as 2026-12-24, from 0001-01-03 to 9999-12-29, got 'tomorrow'"),
        (["next", "0 9 * * *", "--explain", "fr"], "--explain: invalid choice: 'fr' (choose from"),
        (["next", "{"], "expected a trigger as JSON, got '{'"),
        (["next", '{"kind": "lunar"}'], "trigger: expected a kind in JSON, got 'lunar'"),
        (["next", '{"kind": "any-of"}'], "any-of: expected 'triggers' in its JSON, got {'kind': 'any-of'}"),
        (["next", "sqlite:///ledger.db", "--job", "tick", "--jitter", "5"], "expected a job as it is stored, got --jitter"),
        (["serve", "made_app:blocking"], "got a BlockingScheduler: use `tickwork run`"),
        (["serve", "made_app:memory", "--workers", "2"], "expected a store that 2 workers share, got memory"),
        (["serve", "made_app:scheduler", "--host", "0.0.0.0"], "expected a secret in TICKWORK_TOKEN"),
        (["serve", "made_app:scheduler", "--host", "no.such.host.invalid", "--unprotected"], "choose another --port"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_exit_code_2(ledger, folder, tickwork, arguments, said):
    (folder / "broken_app.py").write_text("\n1 / 0\n")

    refused = tickwork(*arguments)

    assert refused.code == 2
    assert refused.out == ""
    assert refused.err.startswith("tickwork: ")
    assert refused.err.count("\n") == 1
    assert said in refused.err


def test_a_missing_extra_is_named(folder):
    code = "import sys; sys.modules['uvicorn'] = None; from tickwork.cli import main; sys.exit(main(['serve', 'x:y']))"
    refused = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert refused.returncode == 2
    assert refused.stderr == "tickwork: expected fastapi and uvicorn, got no uvicorn: pip install 'tickwork[serve]'\n"


def test_a_reader_that_goes_away_is_no_error(ledger):
    """`tickwork runs ... | head -1`"""
    shell = f"{sys.executable} -m tickwork runs {ledger} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert done.returncode == 0
    assert done.stderr == ""


def test_help_needs_nothing_heavy():
    code = "import sys; from tickwork.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert "exit codes:" in shown.stdout
    assert not {"fastapi", "pydantic", "uvicorn", "starlette"} & {*shown.stdout.split()}


# processes


@pytest.mark.processes
@pytest.mark.parametrize("face", ["scheduler", "background", "blocking", "make_scheduler"])
def test_run_ends_when_asked(folder, face):
    with started("run", f"made_app:{face}") as process:
        wait_until(lambda: succeeded("tick") >= 2)
        process.send_signal(signal.SIGTERM)
        log = ended(process, 0)

    assert "SIGTERM: running jobs have 30 s to end" in log
    assert "scheduler stopped" in log
    assert running() == 0


@pytest.mark.processes
def test_run_lets_jobs_end(folder):
    with started("run", "made_app:patient") as process:
        wait_until(lambda: running() == 1)
        process.send_signal(signal.SIGINT)
        (folder / "go").touch()
        ended(process, 0)

    assert succeeded("patient") == 1


@pytest.mark.processes
def test_run_does_not_wait_longer_than_its_timeout(folder):
    """Even for a thread that nothing can stop."""
    with started("run", "made_app:stubborn", "--timeout", "0.2") as process:
        wait_until(lambda: running() == 1)
        process.send_signal(signal.SIGTERM)
        log = ended(process, 1)

    assert "what still ran after 0.2 s was cut short" in log


@pytest.mark.processes
def test_run_ends_cleanly_whatever_its_listeners_do(folder):
    """The news that the scheduler has stopped waits behind a listener that never returns."""
    with started("run", "made_app:deaf", "--timeout", "3") as process:
        wait_until(lambda: succeeded("tick") >= 1)
        process.send_signal(signal.SIGTERM)
        log = ended(process, 0)

    assert "cut short" not in log


@pytest.mark.processes
def test_a_second_signal_ends_run_at_once(folder):
    with started("run", "made_app:stubborn") as process:
        wait_until(lambda: running() == 1)
        process.send_signal(signal.SIGTERM)
        read_until(process, "a second signal ends the process at once")
        process.send_signal(signal.SIGTERM)
        ended(process, -signal.SIGTERM)


@pytest.mark.processes
def test_run_ends_when_a_job_shuts_its_scheduler_down(folder):
    with started("run", "made_app:short") as process:
        ended(process, 0)

    assert succeeded("last") == 1


# progress


def progressing(job_id: str, progress: Progress) -> Run:
    return held_run(make_job(job_id), progress=progress, started_at=START)


def test_progress_is_a_line_in_the_log_for_each_run_that_has_come_further(caplog):
    lines = Lines()
    slow, fast = (progressing(name, Progress(1, 4, "pages")) for name in ("slow", "fast"))

    with caplog.at_level(logging.INFO, "tickwork.cli"):
        lines.show([slow, fast])
        lines.show([slow, fast._replace(progress=Progress(2.5))])
        lines.show([slow])
        lines.show([])

    assert [record.getMessage() for record in caplog.records] == ["slow: 1/4 pages", "fast: 1/4 pages", "fast: 2.5"]


def test_progress_is_a_bar_for_each_run_as_long_as_it_goes_on():
    terminal = io.StringIO()
    bars = Bars(Console(file=terminal, force_terminal=True, width=100))
    first = progressing("크롤러[/b]", Progress(1, 4, "pages \x1b[31m[red]"))
    second = progressing("endless", Progress(7))

    bars.show([])
    nothing = terminal.getvalue()
    bars.show([first, second])
    both = terminal.getvalue()
    bars.show([second])
    bars.show([])
    bars.close()

    assert nothing == ""
    assert "크롤러[/b]" in both
    assert "1/4 pages  [31m[red]" in both
    assert "\x1b[31m" not in both
    assert "endless" in both
    assert bars._bars == {}
    assert not bars._progress.live.is_started


def test_what_is_logged_beside_bars_goes_through_the_terminal_that_draws_them(capsys, monkeypatch):
    """Otherwise each line would leave half a bar behind. Afterwards handlers are as they were."""
    handler = logging.StreamHandler(sys.stdout)
    stdout = sys.stdout
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    terminal = io.StringIO()
    bars = Bars(Console(file=terminal, force_terminal=True, width=100))

    bars.show([progressing("job", Progress(1, 4))])
    logging.getLogger("app").warning("a line")
    bars.show([])
    logging.getLogger("app").warning("another")

    assert "a line" in terminal.getvalue()
    assert capsys.readouterr().out == "another\n"
    assert handler.stream is stdout


def test_no_more_bars_than_a_terminal_can_hold():
    bars = Bars(Console(file=io.StringIO(), force_terminal=True, width=100))

    bars.show([progressing(f"job-{number}", Progress(number, 100)) for number in range(100)])

    assert len(bars._bars) == MAX_BARS
    bars.close()


def test_without_a_terminal_or_without_rich_there_are_lines(monkeypatch):
    piped = choose_display()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    drawn = choose_display()
    monkeypatch.setenv("TERM", "dumb")
    dumb = choose_display()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "tickwork.cli.bars", None)
    bare = choose_display()

    assert [type(display) for display in (piped, drawn, dumb, bare)] == [Lines, Bars, Lines, Lines]


@pytest.mark.processes
def test_run_draws_bars_in_a_terminal(folder):
    seen, go = b"", folder / "go"
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "tickwork", "run", "made_app:crawling"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        try:
            deadline = time.monotonic() + PATIENCE
            while b"2/5 pages" not in seen:
                assert time.monotonic() < deadline, seen
                if select.select([leader], [], [], 0.1)[0]:
                    seen += os.read(leader, 65536)
            go.touch()
            wait_until(lambda: succeeded("crawler") == 1)
            process.send_signal(signal.SIGTERM)
            with suppress(OSError):  # it has ended, and its terminal with it
                while part := os.read(leader, 65536):
                    seen += part
        finally:
            process.kill()
    os.close(leader)

    assert process.returncode == 0, seen
    assert "━".encode() in seen
    assert b"a line of the job" in seen
    assert b"scheduler stopped" in seen
    assert b"\x1b[?25l" not in seen, "the cursor stays"


@pytest.mark.processes
def test_serve_shows_the_scheduler_that_it_runs(folder):
    port = free_port()
    with started("serve", "made_app:scheduler", "--port", str(port), "--workers", "2") as process, client(port) as http:
        wait_until(lambda: status(http, "/health") == 200)
        wait_until(lambda: succeeded("tick") >= 2)
        page, jobs = http.get("/"), http.get("/jobs").json()
        taken = subprocess.run(
            [sys.executable, "-m", "tickwork", "serve", "made_app:scheduler", "--port", str(port)],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        process.send_signal(signal.SIGTERM)
        log = ended(process, 0)

    assert page.headers["content-type"].startswith("text/html")
    assert [job["id"] for job in jobs] == ["tick"]
    assert taken.returncode == 2
    assert taken.stderr == (
        f"tickwork: expected to listen on 127.0.0.1 port {port}, got: Address already in use: choose another --port\n"
    )
    assert log.count(f"tickwork: the dashboard is at http://127.0.0.1:{port}/\n") == 1
    assert running() == 0


def test_serve_lets_in_who_knows_the_secret(folder, monkeypatch):
    monkeypatch.setenv("TICKWORK_SERVED", json.dumps(["made_app:scheduler", 1.0, False]))
    monkeypatch.setenv("TICKWORK_TOKEN", "geheim")

    refused = ask("http://jobs.example.org/jobs")

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Basic realm="tickwork"'
    assert ask("http://jobs.example.org/jobs", auth=("anyone", "wrong")).status_code == 401
    assert ask("http://jobs.example.org/jobs", headers={"Authorization": "Basic %%%"}).status_code == 401
    assert ask("http://jobs.example.org/", auth=("anyone", "geheim")).status_code == 200
    assert ask("http://jobs.example.org/jobs", headers={"Authorization": "Bearer geheim"}).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
def test_serve_shows_nothing_that_its_secret_does_not_guard(folder, monkeypatch, path):
    monkeypatch.setenv("TICKWORK_SERVED", json.dumps(["made_app:scheduler", 1.0, False]))
    monkeypatch.setenv("TICKWORK_TOKEN", "geheim")

    assert ask(f"http://jobs.example.org{path}").status_code == 404


def test_serve_is_no_way_in_for_pages_from_elsewhere(folder, monkeypatch):
    """A name of theirs may lead to this machine (DNS rebinding)."""
    monkeypatch.setenv("TICKWORK_SERVED", json.dumps(["made_app:scheduler", 1.0, True]))

    assert ask("http://rebound.example.org/jobs").status_code == 403
    assert ask("http://localhost:8000/jobs").status_code == 200


# helpers


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-m", "tickwork", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                Timer(5, process.kill).start()
                process.communicate()


def ended(process: subprocess.Popen[str], code: int) -> str:
    """What the process printed, when it has ended with this exit code."""
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, printed
    return printed


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"expected {text!r}, got the end of the output")


def wait_until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, "expected it within the patience of this test"
        time.sleep(0.05)


def rows(states: Sequence[RunState], job_id: str | None = None) -> int:
    """How many rows of the ledger in the working directory are in these states."""
    try:
        with closing(SQLiteStore("jobs.db")) as store:
            return len(store.runs(job_id=job_id, states=states))
    except StoreError:  # it is not there yet
        return 0


def succeeded(job_id: str) -> int:
    return rows([RunState.SUCCEEDED], job_id)


def running() -> int:
    return rows([RunState.RUNNING])


def ask(url: str, **options: Any) -> httpx.Response:
    """What the app of `serve` answers."""

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app())) as http:
            return await http.get(url, **options)

    return asyncio.run(get())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)


def status(http: httpx.Client, path: str) -> int | None:
    try:
        return http.get(path).status_code
    except httpx.TransportError:
        return None


# move


def test_a_move_is_rehearsed_done_and_told_of(ledger, tickwork, folder):
    new = "sqlite:///new.db"
    where = f"from sqlite:///{folder}/ledger.db to sqlite:///{folder}/new.db"

    rehearsed = tickwork("move", ledger, new, "--dry-run")
    left_alone = not (folder / "new.db").exists()
    moved = tickwork("move", ledger, new)
    again = tickwork("move", ledger, new, "--json")
    health = tickwork("health", ledger)
    refused = tickwork("remove", ledger, "report")

    jobs = len(json.loads(tickwork("jobs", new, "--json").out))
    assert (rehearsed.code, left_alone) == (0, True)
    assert re.fullmatch(rf"{jobs} jobs, \d+ runs and 0 backfills would be moved {where}\n", rehearsed.out)
    assert (moved.code, "and fires; neither store did for" in moved.out) == (0, True)
    assert moved.err == "tickwork: copying the ledger\ntickwork: waiting for runs to end\ntickwork: copying the rest\n"
    told = json.loads(again.out)
    assert (told["moved"], told["jobs"], told["pause"], told["sessions_left"]) == (True, jobs, None, False)
    assert (health.code, f"ledger.db has moved to sqlite:///{folder}/new.db since" in health.out) == (1, True)
    assert (refused.code, "give the scheduler that address" in refused.err) == (2, True)


def test_a_move_says_that_sessions_stay(ledger, tickwork, folder):
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("create table tickwork_sessions_schema (version integer)")

    moved = tickwork("move", ledger, "sqlite:///new.db")

    assert moved.out.splitlines()[-1] == f"the sessions in sqlite:///{folder}/ledger.db stay there: they are not moved"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("sqlite:///nowhere.db", "sqlite:///new.db"), "expected a SQLite file at"),
        (("sqlite:///ledger.db", "sqlite:///ledger.db"), "expected two stores, got"),
        (("sqlite:///ledger.db", "memory:"), "expected a store that other processes can see, got memory"),
        (("sqlite:///ledger.db", "mysql://me:secret@host/db"), "got 'mysql://***@host/db'"),
        (("sqlite:///ledger.db", "jobs:scheduler"), "store: expected None (memory), 'sqlite:///jobs.db'"),
        (("sqlite:///ledger.db", "sqlite:///new.db", "--abort"), "there is nothing to undo"),
        (
            ("sqlite:///ledger.db", "sqlite:///new.db", "--abort", "--dry-run"),
            "expected --abort or --dry-run, got both",
        ),
        (("sqlite:///ledger.db", "sqlite:///new.db", "--wait", "2d"), "--wait"),
        (("sqlite:///ledger.db", "postgresql://127.0.0.1:1/nowhere"), "expected to read and write"),
        (("sqlite:///ledger.db", "redis://127.0.0.1:1/0", "--abort"), "expected to read and write"),
    ],
)
def test_a_move_that_cannot_be_is_refused_in_one_line(ledger, tickwork, arguments, expected):
    refused = tickwork("move", *arguments)

    assert (refused.code, refused.out, "secret" in refused.err) == (2, "", False)
    assert expected in refused.err
    assert refused.err.count("\n") == 1
    assert tickwork("health", ledger, "--json").out.count('"move": null') == 1


def test_a_bar_shows_how_far_a_move_has_come():
    output = io.StringIO()
    bar = MoveBar(Console(file=output, force_terminal=True, width=100))

    bar.show(Step(Stage.COPYING, 1_500, 3_000))
    bar.close()

    assert "copying the ledger" in output.getvalue()
    assert "1,500" in output.getvalue()
