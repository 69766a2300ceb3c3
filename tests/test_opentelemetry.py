"""Spans and metrics, as OpenTelemetry's own SDK sees them."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests import deeds
from tests.deeds import PATIENCE, Ledger, Stage
from tests.samples import HOUR, MINUTE, NOW, SECOND

from tickwork import AsyncIOScheduler, BackgroundScheduler, Retry, SchedulerError
from tickwork.opentelemetry import instrument
from tickwork.scheduler import Scheduler
from tickwork.testing import ManualScheduler

PROVIDER = TracerProvider()


def work() -> None:
    PROVIDER.get_tracer("app").start_span("own work").end()


async def work_async() -> None:
    await asyncio.sleep(0)
    PROVIDER.get_tracer("app").start_span("own work").end()


async def session() -> AsyncIterator[None]:
    PROVIDER.get_tracer("app").start_span("begin").end()
    yield
    PROVIDER.get_tracer("app").start_span("commit").end()


async def work_with_session(db: Annotated[None, Depends(session)]) -> None:
    await work_async()


class Telemetry:
    """What a scheduler told OpenTelemetry."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        PROVIDER.add_span_processor(SimpleSpanProcessor(self._exporter))
        instrument(scheduler, tracer_provider=PROVIDER, meter_provider=MeterProvider([self._reader]))

    def spans(self) -> list[ReadableSpan]:
        return [*self._exporter.get_finished_spans()]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The attributes and the value of each point: a count's value, or a histogram's count and sum."""
        told = self._reader.get_metrics_data()
        if told is None:
            return []
        return [
            (dict(point.attributes or {}), point.value if hasattr(point, "value") else (point.count, point.sum))
            for resource in told.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def scheduler() -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(start=NOW)
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def test_a_run_is_a_span_with_all_that_leads_to_its_row(scheduler: ManualScheduler) -> None:
    telemetry = Telemetry(scheduler)
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    scheduler.advance(HOUR)

    [span] = telemetry.spans()
    [run] = scheduler.get_runs("job")
    assert span.name == "job"
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "code.function.name": "tests.deeds.nothing", "tickwork.job.id": "job", "tickwork.job.name": "nothing",
        "tickwork.run.id": run.id, "tickwork.run.key": run.key, "tickwork.run.fire_time": "2026-01-01T01:00:00+00:00",
        "tickwork.run.attempt": 1, "tickwork.run.origin": "schedule", "tickwork.run.state": "succeeded",
        "tickwork.node": run.node,
    }  # fmt: skip


def test_a_failure_is_an_error_with_its_traceback(scheduler: ManualScheduler) -> None:
    telemetry = Telemetry(scheduler)
    scheduler.add_job(deeds.fail, "date", retry=Retry(2), id="job")

    scheduler.run_due()

    first, second = telemetry.spans()
    assert [(one.attributes or {})["tickwork.run.attempt"] for one in (first, second)] == [1, 2]
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "RuntimeError: broken"
    assert (first.attributes or {})["error.type"] == "RuntimeError"
    [event] = first.events
    assert event.name == "exception"
    assert "raise RuntimeError(message)" in str((event.attributes or {})["exception.stacktrace"])


@pytest.mark.parametrize("func", [work, work_async, work_with_session])
@pytest.mark.parametrize("face", [BackgroundScheduler, AsyncIOScheduler, ManualScheduler])
def test_what_the_function_does_is_within_its_span(face: type[Scheduler], func: Any) -> None:
    scheduler = face()
    telemetry = Telemetry(scheduler)
    ledger = Ledger(scheduler)

    async def app() -> None:
        scheduler.start()
        scheduler.add_job(func, id="job")
        if isinstance(scheduler, ManualScheduler):
            scheduler.run_due()
        await asyncio.to_thread(ledger.next)
        await asyncio.to_thread(scheduler.shutdown)

    asyncio.run(app())

    *inner, outer = telemetry.spans()
    assert outer.name == "job"
    assert [one.name for one in inner] == (
        ["begin", "own work", "commit"] if func is work_with_session else ["own work"]
    )
    assert {one.parent.span_id for one in inner if one.parent} == {outer.context.span_id}
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_coroutine_that_was_cancelled_says_so() -> None:
    scheduler = BackgroundScheduler()
    telemetry, ledger, stage = Telemetry(scheduler), Ledger(scheduler), Stage(secrets.token_hex(4))
    scheduler.start()
    scheduler.add_job(deeds.hold_async, args=[stage.name], id="slow", timeout=timedelta(milliseconds=10))
    ledger.next()
    scheduler.add_job(deeds.hold_async, args=[stage.name], id="unwanted")
    stage.begun.clear()
    assert stage.begun.wait(PATIENCE)
    scheduler.cancel_run(scheduler.get_runs("unwanted")[0].id, reason="not today")
    ledger.next()
    scheduler.shutdown()

    slow, unwanted = telemetry.spans()
    assert (slow.status.status_code, (slow.attributes or {})["error.type"]) == (StatusCode.ERROR, "timed_out")
    assert unwanted.status.status_code is StatusCode.UNSET
    assert (unwanted.attributes or {})["tickwork.run.reason"] == "not today"


def test_outcomes_lateness_and_duration_are_counted(scheduler: ManualScheduler) -> None:
    telemetry = Telemetry(scheduler)
    scheduler.add_job(deeds.nothing, "interval", minutes=20, id="good")
    scheduler.add_job(deeds.fail, "interval", minutes=30, id="bad")

    scheduler.advance(HOUR)

    assert sorted(telemetry.points("tickwork.runs"), key=str) == [
        ({"tickwork.job.id": "bad", "tickwork.run.state": "failed", "error.type": "RuntimeError"}, 2),
        ({"tickwork.job.id": "good", "tickwork.run.state": "succeeded"}, 3),
    ]
    assert {one["tickwork.job.id"]: value for one, value in telemetry.points("tickwork.run.lateness")} == {
        "good": (3, 0.0), "bad": (2, 0.0),
    }  # fmt: skip
    assert {count for _, (count, _) in telemetry.points("tickwork.run.duration")} == {2, 3}
    assert {value for _, value in telemetry.points("tickwork.active_runs")} == {0}


def test_what_was_missed_is_counted_too(scheduler: ManualScheduler) -> None:
    telemetry = Telemetry(scheduler)
    scheduler.add_job(deeds.nothing, "interval", minutes=1, id="job", misfire_grace_time=SECOND)
    scheduler.clock.advance(10 * MINUTE + MINUTE / 2)

    scheduler.run_due()

    assert telemetry.points("tickwork.runs") == [
        ({"tickwork.job.id": "job", "tickwork.run.state": "missed", "error.type": "missed"}, 1)
    ]


def test_one_off_jobs_are_one_name_everywhere(scheduler: ManualScheduler) -> None:
    telemetry = Telemetry(scheduler)
    for _ in range(3):
        scheduler.add_job(deeds.nothing)

    scheduler.run_due()

    assert {span.name for span in telemetry.spans()} == {"_ONE_OFF"}
    assert [(one["tickwork.job.id"], value) for one, value in telemetry.points("tickwork.runs")] == [("_ONE_OFF", 3)]


WITHOUT = """
import sys
sys.modules["opentelemetry"] = sys.modules["prometheus_client"] = None  # as if they were not installed
from tickwork.testing import ManualScheduler
import tickwork, tickwork.events, tickwork.webhooks
scheduler = ManualScheduler()
scheduler.start()
scheduler.add_job(print, id="job")
scheduler.run_due()
assert scheduler.get_runs("job")[0].state == "succeeded"
"""


def test_without_the_library_nothing_misses_it() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""


def test_importing_tickwork_imports_no_telemetry() -> None:
    program = (
        "import sys, tickwork, tickwork.asyncio, tickwork.cli, tickwork.testing, tickwork.webhooks\n"
        "print([name for name in ('opentelemetry', 'prometheus_client', 'pytest') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"


def test_what_is_no_scheduler_is_refused() -> None:
    with pytest.raises(SchedulerError, match="instrument: expected a scheduler, got 'app': write instrument"):
        instrument("app")  # type: ignore[arg-type]
