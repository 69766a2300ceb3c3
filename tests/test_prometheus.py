"""Metrics, as Prometheus reads them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests import deeds
from tests.deeds import PATIENCE, Ledger, Stage
from tests.nodes import FlakyStore
from tests.samples import HOUR, MINUTE, NOW

from tickwork import BackgroundScheduler, InvalidJobError, SchedulerError
from tickwork.prometheus import exposition, instrument
from tickwork.scheduler import Scheduler
from tickwork.stores.memory import MemoryStore
from tickwork.testing import ManualScheduler, VirtualClock


class Scrape:
    """What one scrape says, by name and labels."""

    def __init__(self, text: str) -> None:
        self.values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.values.get((name, *sorted(labels.items())))


def scrape(scheduler: Scheduler, registry: CollectorRegistry) -> Scrape:
    return Scrape(exposition(scheduler, registry)[0].decode())


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def scheduler(registry: CollectorRegistry) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(start=NOW)
    instrument(scheduler, registry)
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def test_outcomes_lateness_and_duration_are_counted(scheduler: ManualScheduler, registry: CollectorRegistry) -> None:
    scheduler.add_job(deeds.nothing, "interval", minutes=20, id="good")
    scheduler.add_job(deeds.fail, "interval", minutes=30, id="bad")

    scheduler.advance(HOUR)

    told = scrape(scheduler, registry)
    assert told("tickwork_runs_total", job_id="good", state="succeeded", error="") == 3
    assert told("tickwork_runs_total", job_id="bad", state="failed", error="RuntimeError") == 2
    assert told("tickwork_run_lateness_seconds_count", job_id="good") == 3
    assert told("tickwork_run_lateness_seconds_bucket", job_id="good", le="0.001") == 3
    assert told("tickwork_run_duration_seconds_sum", job_id="bad") == 0
    assert told("tickwork_active_runs", job_id="good") == 0
    assert told("tickwork_store_outages_total") == 0


def test_the_ledger_is_read_at_each_scrape(scheduler: ManualScheduler, registry: CollectorRegistry) -> None:
    scheduler.add_job(deeds.nothing, "interval", minutes=1, id="job")
    scheduler.add_job(deeds.nothing, "interval", minutes=1, id="paused", next_run_time=None)
    before = scrape(scheduler, registry)
    scheduler.run_job_now("job")
    scheduler.clock.advance(3 * MINUTE)
    after = scrape(scheduler, registry)

    assert (before("tickwork_jobs", paused="false"), before("tickwork_jobs", paused="true")) == (1, 1)
    assert (before("tickwork_due_seconds"), before("tickwork_waiting_seconds")) == (0, 0)
    assert after("tickwork_due_seconds") == 120  # no node ticked
    assert after("tickwork_waiting_seconds") == 180
    assert (after("tickwork_open_runs", state="pending"), after("tickwork_open_runs", state="running")) == (1, 0)


def test_jobs_that_do_not_succeed_for_too_long_are_counted(
    scheduler: ManualScheduler, registry: CollectorRegistry
) -> None:
    scheduler.add_job(deeds.nothing, "interval", minutes=1, id="good", expect_every=HOUR)
    scheduler.add_job(deeds.fail, "interval", minutes=1, id="bad", expect_every=HOUR)
    scheduler.advance(HOUR - MINUTE)
    before = scrape(scheduler, registry)
    scheduler.advance(MINUTE)

    assert before("tickwork_overdue_jobs") == 0
    assert scrape(scheduler, registry)("tickwork_overdue_jobs") == 1


def test_a_run_that_goes_on_is_active(registry: CollectorRegistry) -> None:
    scheduler, stage = BackgroundScheduler(), Stage(secrets.token_hex(4))
    ledger = Ledger(scheduler)
    instrument(scheduler, registry)
    scheduler.start()
    scheduler.add_job(deeds.hold, args=[stage.name], id="job")
    assert stage.begun.wait(PATIENCE)

    during = scrape(scheduler, registry)("tickwork_active_runs", job_id="job")
    stage.go.set()
    ledger.next()
    scheduler.shutdown()

    assert during == 1
    assert scrape(scheduler, registry)("tickwork_active_runs", job_id="job") == 0


def test_a_store_that_is_away_is_told_and_fails_no_scrape(registry: CollectorRegistry) -> None:
    store: Any = FlakyStore(MemoryStore(clock=VirtualClock(NOW)))
    scheduler = ManualScheduler(store, clock=store.clock)
    instrument(scheduler, registry)
    scheduler.start()
    assert scrape(scheduler, registry)("tickwork_store_up") == 1

    store.down = "before"
    scheduler.run_due()
    during = scrape(scheduler, registry)

    assert during("tickwork_store_up") == 0
    assert during("tickwork_jobs", paused="false") is None
    assert during("tickwork_store_outages_total") == 1
    store.down = None
    scheduler.shutdown()


def test_names_are_few_whatever_jobs_do(registry: CollectorRegistry) -> None:
    scheduler = ManualScheduler(start=NOW)
    instrument(scheduler, registry, jobs=2)
    scheduler.start()
    for number in range(5):
        scheduler.add_job(deeds.nothing, "date", run_date=NOW + number * MINUTE, id=f"job-{number}")
        scheduler.add_job(deeds.nothing)

    scheduler.advance(HOUR)

    told = scrape(scheduler, registry)
    assert {dict(key[1:])["job_id"] for key in told.values if key[0] == "tickwork_runs_total"} == {
        "job-0", "job-1", "_OTHER", "_ONE_OFF"
    }  # fmt: skip
    assert told("tickwork_runs_total", job_id="_OTHER", state="succeeded", error="") == 3


def test_a_registry_counts_one_scheduler(scheduler: ManualScheduler, registry: CollectorRegistry) -> None:
    with pytest.raises(InvalidJobError, match="registry: expected one that counts no scheduler yet"):
        instrument(ManualScheduler(), registry)


def test_what_is_no_scheduler_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(SchedulerError, match="instrument: expected a scheduler, got 'app': write instrument"):
        instrument("app", registry)  # type: ignore[arg-type]


@pytest.mark.parametrize("jobs", [-1, 10_001, None, True, 1.5, "many"])
def test_a_number_of_jobs_that_cannot_be_is_refused(registry: CollectorRegistry, jobs: Any) -> None:
    with pytest.raises(InvalidJobError, match="jobs: expected a whole number from 0 to 10000"):
        instrument(ManualScheduler(), registry, jobs=jobs)


WORKER = """
import sys
from prometheus_client import CollectorRegistry
from tickwork.prometheus import exposition, instrument
from tickwork.testing import ManualScheduler
scheduler, registry = ManualScheduler(), CollectorRegistry()
instrument(scheduler, registry)
scheduler.start()
for number in range(int(sys.argv[1])):
    scheduler.add_job(print, kwargs={"end": ""}, id=f"job-{number}")
scheduler.run_due()
sys.stdout.write(exposition(scheduler, registry)[0].decode())
"""


def test_each_of_several_workers_answers_for_all(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def work(runs: int) -> Scrape:
        done = subprocess.run(
            [sys.executable, "-c", WORKER, str(runs)], env=environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return Scrape(done.stdout)

    first, second = work(1), work(2)

    assert first("tickwork_runs_total", job_id="job-0", state="succeeded", error="") == 1
    assert second("tickwork_runs_total", job_id="job-0", state="succeeded", error="") == 2
    assert second("tickwork_run_duration_seconds_count", job_id="job-1") == 1
    assert second("tickwork_store_up") == 1
    assert second("tickwork_jobs", paused="false") == 2  # what its store has: read, and not added up


KILLED = """
import os, signal
from prometheus_client import CollectorRegistry
from tickwork.prometheus import instrument
from tickwork.testing import ManualScheduler
scheduler = ManualScheduler()
instrument(scheduler, CollectorRegistry())
scheduler.start()
scheduler.add_job(os.kill, args=[os.getpid(), signal.SIGKILL], id="fatal")
scheduler.run_due()
"""


def test_what_a_killed_worker_had_going_on_is_active_no_more(tmp_path: Path) -> None:
    """And what one that lives has, is."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment, timeout=60, check=False)
    left = [*tmp_path.glob("gauge_live*")]
    (living := tmp_path / f"gauge_livesum_{os.getpid()}.db").write_bytes(left[0].read_bytes())

    told = subprocess.run(
        [sys.executable, "-c", WORKER, "0"], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert Scrape(told)("tickwork_active_runs", job_id="fatal") == 1
    assert living.exists()
