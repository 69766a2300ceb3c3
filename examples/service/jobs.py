"""The scheduler and its jobs: what runs, and when. Every worker declares the same ones; each fire time runs once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from examples.service import digest, inventory, reports, samples
from examples.service.settings import FOLDER, VAR
from tickwork import AsyncIOScheduler, Retry, RunContext

scheduler = AsyncIOScheduler(f"sqlite:///{VAR}/jobs.db")

SOON_AGAIN = Retry(max_attempts=3, delay=timedelta(seconds=5))
"""For a job that may meet a file which vanishes just then."""


@scheduler.scheduled_job("interval", seconds=2, id="sample")
def sample(run: RunContext) -> dict[str, float | None]:
    """Measure the machine. A plain function runs on a thread."""
    measured = samples.measure()
    samples.keep(run.fire_time, measured)
    samples.forget_old(run.fire_time)
    return measured


@scheduler.scheduled_job("interval", minutes=1, id="digest", next_run_time=datetime.now(UTC), retry=SOON_AGAIN)
def digest_folder(run: RunContext) -> dict[str, object]:
    """Find out what changed in the folder; the first time at once, and then every minute."""
    seen = digest.scan(FOLDER)
    known = digest.recall()
    stale = [path for path, stamp in seen.items() if path not in known or known[path].stamp != stamp]
    fresh = {path: digest.read(FOLDER, path, seen[path]) for path in run.track(stale, message="reading what changed")}
    return digest.keep(known, {path: fresh.get(path) or known[path] for path in seen})


@scheduler.scheduled_job("cron", hour=23, minute=59, id="daily-report")
def write_daily_report(run: RunContext) -> str:
    """Sum up the day of the fire time, in UTC: however late this runs, it is the right day."""
    return str(reports.write(run.fire_time.date()))


@scheduler.scheduled_job("date", id="inventory")
async def take_inventory() -> dict[str, object]:
    """Write down what this machine is: once, after the first start ever. A coroutine runs in the app's event loop."""
    return await inventory.take()
