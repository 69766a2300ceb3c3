"""The page of jobs, as people use it: what they look for, what they change, and what they are told."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import HTTPException, Request
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Complaints
from tests.browser.site import Server, Site, failings, settled

from tickwork import BackgroundScheduler, RunContext, RunState

pytestmark = pytest.mark.processes


GIVEN: list[tuple[str, int]] = []
"""What `greet` was called with."""
HALF_SEEN = threading.Event()
"""Whether `count` may count on."""


def count(run: RunContext) -> None:
    """Stays at the half until that was seen, and at the end until it is cancelled."""
    run.log.info("counting began")
    while True:
        run.progress(240 if HALF_SEEN.is_set() else 120, 240, "pages")
        run.raise_if_cancelled()
        threading.Event().wait(0.02)


def greet(name: str = "nobody", times: int = 1) -> str:
    GIVEN.append((name, times))
    return f"{name} {times}"


def fail() -> None:
    raise ConnectionError("the mail server does not answer")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, changes=[only_admins])
    site.scheduler.add_job(count, "interval", hours=1, id="count", executor="threads", tags=["slow"])
    site.scheduler.add_job(greet, "cron", hour=3, timezone="Asia/Seoul", id="greet")
    site.scheduler.add_job(fail, "interval", hours=1, id="mail")
    site.scheduler.start()
    GIVEN.clear()
    HALF_SEEN.clear()
    yield site
    for run in site.scheduler.get_runs(states=[RunState.RUNNING]):
        site.scheduler.cancel_run(run.id)
    site.close()


def only_admins(request: Request) -> None:
    if request.cookies.get("role") == "guest":
        raise HTTPException(403, "you may look, and no more")


@pytest.fixture
def server(site: Site, page: Page) -> Iterator[Server]:
    with Server(site.app) as server:
        yield server
        page.goto("about:blank")


@pytest.fixture
def jobs(page: Page, server: Server) -> Page:
    page.goto(f"{server.address}/tickwork/")
    settled(page)
    return page


def row(page: Page, job: str) -> Locator:
    return page.locator("#jobs .job").filter(has=page.get_by_role("button", name=f"Show the runs of {job}", exact=True))


def newest(page: Page, job: str) -> Locator:
    return page.locator("#runs .run").filter(has=page.locator(".job-id", has_text=job)).first


def press(page: Page | Locator, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_jobs_are_listed_with_their_times_in_words_and_found_by_a_part_of_their_names(jobs: Page) -> None:
    expect(row(jobs, "greet")).to_contain_text("every day at 03:00, Asia/Seoul")
    expect(row(jobs, "greet")).to_contain_text("03:00:00")  # in the zone of the reader, who is in Seoul
    expect(row(jobs, "count")).to_contain_text("every hour")
    expect(row(jobs, "count")).to_contain_text("slow")
    expect(jobs.locator("#summary")).to_have_text("3 jobs")

    jobs.get_by_role("searchbox").fill("GREE")
    expect(jobs.locator("#jobs .job")).to_have_count(1)
    jobs.get_by_role("searchbox").fill("xyzzy")
    expect(jobs.get_by_text("No job has that in its name or function.")).to_be_visible()
    jobs.get_by_role("searchbox").fill("")
    expect(jobs.locator("#jobs .job")).to_have_count(3)


def test_runs_are_filtered_by_their_job_and_by_how_they_ended(jobs: Page) -> None:
    press(jobs, "Run now greet")
    press(jobs, "Run now mail")
    expect(newest(jobs, "greet")).to_contain_text("succeeded")
    expect(newest(jobs, "mail")).to_contain_text("failed")

    jobs.get_by_text("Failed", exact=True).click()
    expect(jobs.locator("#runs .run")).to_have_count(1)
    jobs.get_by_text("All", exact=True).click()
    press(jobs, "Show the runs of greet")
    expect(jobs.locator("#runs .run")).to_have_count(1)
    expect(newest(jobs, "greet")).to_be_visible()
    press(jobs, "Show the runs of all jobs, not only of greet")
    expect(jobs.locator("#runs .run")).to_have_count(2)


def test_a_job_is_paused_with_a_reason_and_resumed(jobs: Page, site: Site) -> None:
    press(jobs, "Pause count")
    jobs.get_by_role("dialog").get_by_label("Reason, for everyone to see").fill("the disk is <full>")
    press(jobs.get_by_role("dialog"), "Pause")
    expect(row(jobs, "count")).to_contain_text("the disk is <full>")
    expect(jobs.get_by_role("status").filter(has_text="count is paused.")).to_be_visible()
    assert site.scheduler.get_job("count").pause_reason == "the disk is <full>"

    press(jobs, "Resume count")
    expect(row(jobs, "count")).to_contain_text(re.compile(r"in 5\d min"))
    assert not site.scheduler.get_job("count").paused


def test_a_job_that_is_gone_from_the_code_says_so(page: Page, tmp_path: Path) -> None:
    before = BackgroundScheduler(f"sqlite:///{tmp_path}/jobs.db")
    before.add_job(fail, "interval", hours=1, id="mail")
    before.start()
    before.shutdown()
    site = Site(tmp_path, BackgroundScheduler(f"sqlite:///{tmp_path}/jobs.db"))
    site.scheduler.add_job(greet, "interval", hours=1, id="greet")
    site.scheduler.start()
    server = Server(site.app)
    page.goto(f"{server.address}/tickwork/")

    expect(row(page, "mail")).to_contain_text("retired")
    expect(row(page, "mail")).to_contain_text(re.compile("since .*: no running code declares it"))
    page.goto("about:blank")
    server.go_away()
    site.close()


def test_a_run_is_watched_live_with_its_log_and_cancelled_with_a_reason(jobs: Page) -> None:
    press(jobs, "Run now count")
    run = newest(jobs, "count")
    expect(run).to_contain_text("120 of 240 · pages")
    HALF_SEEN.set()
    expect(run).to_contain_text("240 of 240 · pages")
    expect(row(jobs, "count").get_by_role("progressbar")).to_have_attribute("value", "240")
    run.get_by_role("button", name="Details of count").click()
    expect(run.get_by_role("group", name="Log of count")).to_contain_text("INFO     counting began")

    press(run, "Cancel this run")
    jobs.get_by_role("dialog").get_by_label("Reason, for everyone to see").fill("started by mistake")
    assert failings(jobs) == []  # the dialog and what is open below it, too
    press(jobs.get_by_role("dialog"), "Cancel the run")
    expect(run).to_contain_text("cancelled")
    expect(run).to_contain_text("started by mistake")
    expect(run.get_by_role("button", name="Cancel this run")).to_be_hidden()


def test_a_failed_run_shows_why_and_is_tried_again(jobs: Page, site: Site) -> None:
    press(jobs, "Run now mail")
    run = newest(jobs, "mail")
    expect(run).to_contain_text("ConnectionError: the mail server does not answer")
    run.get_by_role("button", name="Details of mail").click()
    expect(run.get_by_role("group", name="Traceback of mail")).to_contain_text("in fail")

    press(run, "Try again")
    expect(jobs.get_by_role("button", name="1 newer run: close and show")).to_be_visible()
    press(jobs, "1 newer run: close and show")
    expect(newest(jobs, "mail")).to_contain_text("attempt 2")
    assert [run.attempt for run in site.scheduler.get_runs("mail")] == [2, 1]


def test_a_job_is_run_with_other_arguments_and_what_is_wrong_with_them_is_said_where_they_are_typed(
    jobs: Page, complaints: Complaints
) -> None:
    press(jobs, "More about greet")
    press(row(jobs, "greet"), "Run with other arguments")
    dialog = jobs.get_by_role("dialog")
    named = dialog.get_by_label("Named ones, as a JSON object")
    for wrong, said in (
        ("name: Ada", "expected JSON such as"),
        ('{"nme": "Ada"}', "nme"),
        ('{"times": "many"}', "times"),
    ):
        named.fill(wrong)
        press(dialog, "Run")
        expect(dialog.get_by_role("alert")).to_contain_text(said)
        expect(named).to_have_value(wrong)
    assert all("422" in one for one in complaints)
    complaints.clear()
    named.fill('{"name": "Ada", "times": 9007199254740993}')  # more than JavaScript can count
    press(dialog, "Run")
    expect(dialog).to_be_hidden()

    run = newest(jobs, "greet")
    expect(run).to_contain_text("succeeded")
    assert GIVEN == [("Ada", 9007199254740993)]
    run.get_by_role("button", name="Details of greet").click()
    expect(run.get_by_role("group", name="Result of greet")).to_have_text('"Ada 9007199254740993"')


def test_why_is_answered_for_an_instant_in_the_zone_of_the_reader(jobs: Page) -> None:
    press(jobs, "More about greet")
    asked = row(jobs, "greet").get_by_label("What became of it at")
    asked.fill("2040-01-02T03:00:00")
    press(row(jobs, "greet"), "Ask why")
    expect(row(jobs, "greet").get_by_role("status")).to_have_text("will run at 2040-01-02 03:00+09:00")
    asked.fill("2040-01-02T04:00:00")
    press(row(jobs, "greet"), "Ask why")
    expect(row(jobs, "greet").get_by_role("status")).to_contain_text("not a fire time")


def test_the_past_is_backfilled(jobs: Page, site: Site) -> None:
    today = datetime.now(UTC)
    press(jobs, "More about greet")
    press(row(jobs, "greet"), "Backfill")
    dialog = jobs.get_by_role("dialog")
    dialog.get_by_label("From").fill(f"{today - timedelta(days=4):%Y-%m-%d}T00:00:00")
    dialog.get_by_label("To", exact=True).fill(f"{today - timedelta(days=2):%Y-%m-%d}T00:00:00")
    press(dialog, "Backfill")

    expect(row(jobs, "greet").get_by_text("2 runs, 0 had one · done")).to_be_visible()
    expect(jobs.locator("#runs .run").filter(has_text="run after all")).to_have_count(2)
    assert GIVEN == [("nobody", 1)] * 2


def test_a_job_is_removed_only_after_a_second_look(jobs: Page, site: Site) -> None:
    press(jobs, "More about mail")
    press(row(jobs, "mail"), "Remove")
    jobs.keyboard.press("Escape")
    expect(jobs.get_by_role("dialog")).to_be_hidden()
    assert site.scheduler.get_job("mail") is not None
    press(row(jobs, "mail"), "Remove")
    press(jobs.get_by_role("dialog"), "Remove")
    expect(row(jobs, "mail")).to_have_count(0)
    assert site.scheduler.get_job("mail") is None


@pytest.mark.parametrize("name", ["tickwork", "documents", "sessions"])
def test_who_may_only_look_sees_no_buttons_and_gets_403(page: Page, server: Server, site: Site, name: str) -> None:
    site.docs.source("pages")(lambda: ())
    site.sessions.create(user="ada")
    page.context.add_cookies([{"name": "role", "value": "guest", "url": server.address}])
    page.goto(f"{server.address}/{name}/")
    settled(page)

    expect(page.locator("body")).to_have_class("read-only")
    for button in page.locator("main button:visible").all():
        assert button.text_content() in {"count", "greet", "mail", "ada", "More", "Search", "Documents", "Content"}
    assert page.request.post(f"{server.address}/tickwork/jobs/count/run", data={}).status == 403
    assert page.request.post(f"{server.address}/documents/sources/pages/sync", data={}).status == 403
    assert page.request.delete(f"{server.address}/sessions/users/ada/sessions").status == 403


def test_a_refusal_that_comes_later_hides_the_buttons(jobs: Page, server: Server, complaints: Complaints) -> None:
    jobs.context.add_cookies([{"name": "role", "value": "guest", "url": server.address}])
    press(jobs, "Run now count")

    expect(jobs.get_by_text("That did not work: you may look, and no more")).to_be_visible()
    expect(jobs.get_by_role("button", name="Run now count")).to_be_hidden()
    assert all("403" in one for one in complaints)
    complaints.clear()


def test_all_can_be_done_with_the_keyboard(jobs: Page, site: Site) -> None:
    """Each control can be reached and is seen to be; a dialog gives the focus back to where it came from."""
    reached = []
    for _ in range(16):
        jobs.keyboard.press("Tab")
        reached.append(
            jobs.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
        )
        outlined = jobs.evaluate(
            "getComputedStyle(document.activeElement.matches('.filter input') ?"
            " document.activeElement.nextElementSibling : document.activeElement).outlineStyle"
        )
        assert outlined not in ("none", ""), reached[-1]
        if reached[-1] == "Pause count":
            break
    assert reached[-1] == "Pause count", reached
    jobs.keyboard.press("Enter")
    jobs.keyboard.type("by keys alone")
    jobs.keyboard.press("Enter")
    expect(row(jobs, "count")).to_contain_text("by keys alone")
    assert jobs.evaluate("document.activeElement.getAttribute('aria-label')") == "Resume count"
