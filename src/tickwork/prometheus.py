"""Prometheus: what this process did, and what the ledger has. `pip install 'tickwork[prometheus]'`.

from tickwork.prometheus import instrument

instrument(scheduler)            # in prometheus_client's own registry, which the application exposes

The rule: what is counted is of this process; what is read from the store is of all, and the same whoever is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tickwork.checks import shown
from tickwork.errors import InvalidJobError, StoreError
from tickwork.events import Event, JobFired, RunSettled, StoreLost
from tickwork.executors.around import Leave
from tickwork.job import Job
from tickwork.measures import MAX_ERRORS, MAX_JOBS, SECONDS, JobNames, Names, closed_runs, error_type
from tickwork.run import Run
from tickwork.scheduler import Scheduler, check_scheduler

MOST_JOBS = 10_000


def instrument(scheduler: Scheduler, registry: CollectorRegistry = REGISTRY, *, jobs: int = MAX_JOBS) -> None:
    """Count the runs of *scheduler* in *registry*, from now on, and let it read the ledger at each scrape.

    *jobs* is how many jobs are told apart by the label `job_id`; others are `_OTHER`, and those whose id was made up
    are `_ONE_OFF`. With 0 all are `_OTHER`.

    Of this process: `tickwork_runs_total` of what was closed, by `job_id`, `state` and `error` (an expired lease has
    the state `lost`); the histograms `tickwork_run_lateness_seconds` and `tickwork_run_duration_seconds`, and
    `tickwork_active_runs`, by `job_id`; `tickwork_store_outages_total`. Of the ledger, and so of all processes:
    `tickwork_jobs`, `tickwork_open_runs`, `tickwork_overdue_jobs`, `tickwork_due_seconds`, `tickwork_waiting_seconds`,
    `tickwork_store_up`.

    Raises InvalidJobError if the registry counts another scheduler already.
    """
    check_scheduler("instrument", scheduler, "instrument(scheduler)")
    if not isinstance(jobs, int) or isinstance(jobs, bool) or not 0 <= jobs <= MOST_JOBS:
        raise InvalidJobError(f"jobs: expected a whole number from 0 to {MOST_JOBS}, got {shown(jobs)}")
    try:
        counted = _Counted(registry, JobNames(jobs))
    except ValueError:
        raise InvalidJobError(
            "registry: expected one that counts no scheduler yet, got one that does: "
            "pass a CollectorRegistry() of its own, or instrument one scheduler alone"
        ) from None
    registry.register(LedgerCollector(scheduler))
    scheduler.around_runs(counted.enter)
    scheduler.add_listener(counted, JobFired, RunSettled, StoreLost)


def exposition(scheduler: Scheduler, registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """What a scrape is answered with, and its content type, for an `Accept` header.

    Where PROMETHEUS_MULTIPROC_DIR is set, that is what all processes have counted, and not this one alone.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(LedgerCollector(scheduler))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def forget_the_dead(folder: Path) -> None:
    """Take out of the sum the calls that went on in a process when it was killed: nobody else does.

    Only where processes are named by their ids, as this one is: an application may tell prometheus_client other names.
    """
    if os.name != "posix" or not any(folder.glob(f"*_{os.getpid()}.db")):
        return
    for counted in folder.glob("gauge_live*_*.db"):
        process = counted.stem.rpartition("_")[2]
        if process.isdecimal() and not _is_alive(int(process)):
            counted.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, who lives
        pass
    return True


class _Counted:
    """What this process did: a listener, and around each call."""

    def __init__(self, registry: CollectorRegistry, jobs: Names) -> None:
        self._jobs = jobs
        self._errors = Names(MAX_ERRORS)
        self._runs = Counter("tickwork_runs", "Runs that were closed.", ["job_id", "state", "error"], registry=registry)
        self._lateness = Histogram(
            "tickwork_run_lateness_seconds", "From the fire time to the call.", ["job_id"],
            registry=registry, buckets=SECONDS,
        )  # fmt: skip
        self._duration = Histogram(
            "tickwork_run_duration_seconds", "How long the call took.", ["job_id"], registry=registry, buckets=SECONDS
        )
        self._active = Gauge(
            "tickwork_active_runs", "Runs whose function is being called.", ["job_id"],
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._outages = Counter("tickwork_store_outages", "How often the store could not be used.", registry=registry)

    def __repr__(self) -> str:
        return "<tickwork.prometheus>"

    def __call__(self, event: Event) -> None:
        if isinstance(event, StoreLost):
            self._outages.inc()
        for run in closed_runs(event):
            job_id, error = self._jobs.of(run.job_id), error_type(run)
            self._runs.labels(job_id, str(run.state), "" if error is None else self._errors.of(error)).inc()
            if run.lateness is not None:
                self._lateness.labels(job_id).observe(run.lateness.total_seconds())
            if run.duration is not None:
                self._duration.labels(job_id).observe(run.duration.total_seconds())

    def enter(self, job: Job, run: Run) -> Leave:
        active = self._active.labels(self._jobs.of(job.id))
        active.inc()
        return lambda _: active.dec()


class LedgerCollector(Collector):
    """What the store has at the moment of a scrape: three statements over what is alive, whatever the ledger holds."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: otherwise the store would be asked already when it is registered."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        try:
            census, overdue = self._scheduler.census(), self._scheduler.get_overdue()
        except StoreError:
            census, overdue = None, ()
        yield GaugeMetricFamily(
            "tickwork_store_up", "1 if the store answers, else 0.", value=0 if census is None else 1
        )
        if census is None:
            return
        jobs = GaugeMetricFamily("tickwork_jobs", "Jobs in the store.", labels=["paused"])
        jobs.add_metric(["false"], census.jobs - census.paused)
        jobs.add_metric(["true"], census.paused)
        yield jobs
        runs = GaugeMetricFamily("tickwork_open_runs", "Runs that wait or go on, on all nodes.", labels=["state"])
        runs.add_metric(["pending"], census.pending)
        runs.add_metric(["running"], census.running)
        yield runs
        yield GaugeMetricFamily(
            "tickwork_overdue_jobs", "Jobs that have not succeeded for longer than they may (expect_every).",
            value=len(overdue),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "tickwork_due_seconds", "For how long the earliest fire time that no node fired has passed.",
            value=_passed(census.fire_at, census.at),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "tickwork_waiting_seconds", "For how long the run that no node took has waited.",
            value=_passed(census.claim_at, census.at),
        )  # fmt: skip


def _passed(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
