"""The pictures in the documentation: `python -m tests.browser.pictures` takes them anew, into docs/images."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, expect, sync_playwright
from tests.browser.chromium import find_chromium
from tests.browser.conftest import FLAGS
from tests.browser.site import Server, Site, settled
from tests.test_examples import service, stop

from tickwork import Retry, RunContext

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1120, "height": 760}


def measure() -> None:
    """Measures the machine."""


def reindex(run: RunContext) -> None:
    run.log.info("240 pages to read")
    run.progress(161, 240, "pages")
    run.log.warning("page 57 has no title")
    while True:
        run.raise_if_cancelled()
        threading.Event().wait(0.05)


def refresh_prices(region: str = "eu") -> str:
    return f"412 prices of {region}"


def send_newsletter() -> None:
    raise ConnectionError("the mail server does not answer")


def take_jobs(browser: Browser, folder: Path) -> None:
    site = Site(folder)
    add = site.scheduler.add_job
    add(measure, "interval", seconds=2, id="measure")
    add(refresh_prices, "cron", hour=3, timezone="Asia/Seoul", id="refresh-prices")
    add(reindex, "interval", minutes=10, id="reindex", tags=["search"])
    add(send_newsletter, "cron", day_of_week="mon-fri", hour=9, timezone="Europe/Berlin", id="send-newsletter",
        retry=Retry(max_attempts=2, delay=timedelta(seconds=1)))  # fmt: skip
    add(measure, "interval", hours=1, id="sync-warehouse")
    site.scheduler.start()
    site.scheduler.pause_job("sync-warehouse", reason="its database moves", by="ada")
    for job in ("reindex", "send-newsletter", "refresh-prices"):
        site.scheduler.run_job_now(job)
    with Server(site.app) as server:
        page = browser.new_page(viewport=SIZE, timezone_id="Europe/Berlin", reduced_motion="reduce")
        page.goto(f"{server.address}/tickwork/")
        expect(page.locator("#runs")).to_contain_text("attempt 2")
        page.wait_for_timeout(5_000)
        page.screenshot(path=IMAGES / "jobs.png")
        run = page.locator(".run").filter(has_text="161 of 240")
        run.get_by_role("button", name="Details").click()
        expect(run).to_contain_text("page 57 has no title")
        run.screenshot(path=IMAGES / "run.png")
        page.close()
    for run in site.scheduler.get_runs("reindex"):
        site.scheduler.cancel_run(run.id)
    site.close()


def take_chat(browser: Browser, folder: Path) -> None:
    with service(folder / "shop", folder) as (process, http):
        page = browser.new_page(
            viewport=SIZE, timezone_id="Europe/Berlin", color_scheme="dark", reduced_motion="reduce"
        )
        page.goto(f"{http.base_url}/chat/")
        settled(page)
        expect(page.locator("#summary")).to_have_text("6 documents", timeout=60_000)
        for number, question in enumerate(("When do you open?", "How do I get my money back?"), 1):
            page.get_by_label("Your question").fill(question)
            page.get_by_role("button", name="Ask").click()
            expect(page.locator("#messages > li")).to_have_count(2 * number, timeout=20_000)
        page.screenshot(path=IMAGES / "chat.png")
        page.close()
        stop(process)


def main() -> None:
    found = find_chromium()
    assert found is not None, "python -m tests.browser.chromium brings a browser"
    path, needs = found
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as driver, TemporaryDirectory(prefix="tickwork-") as folder:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS, env={**os.environ, **needs})
        take_jobs(browser, Path(folder) / "jobs")
        take_chat(browser, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
