"""OpenTelemetry: a span for each run, and metrics of what becomes of them. `pip install 'tickwork[opentelemetry]'`.

from tickwork.opentelemetry import instrument

instrument(scheduler)

It needs the API alone: which SDK exports what, and where to, the application says as for all its other telemetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import Meter, MeterProvider
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from tickwork.events import Event, JobFired, RunSettled, StoreLost
from tickwork.executors.around import Leave
from tickwork.job import Job
from tickwork.measures import MAX_ERRORS, MAX_JOBS, ONE_OFF, SECONDS, JobNames, Names, closed_runs, error_type
from tickwork.run import Failed, Outcome, Run, RunState
from tickwork.scheduler import Scheduler, check_scheduler

ERRORS = (RunState.FAILED, RunState.TIMED_OUT, RunState.LOST)


def instrument(
    scheduler: Scheduler, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """Record the runs of *scheduler*, from now on; the providers are the global ones unless given.

    Each run on this node is a span, which is current inside the function: the spans that it makes are children of it.

    The metrics are those of this node, all with the attribute `tickwork.job.id`: the counter `tickwork.runs` of all
    that was closed, by `tickwork.run.state` and `error.type` (lost leases are the state `lost`); the histograms
    `tickwork.run.lateness` and `tickwork.run.duration` in seconds; and `tickwork.active_runs`. Without
    the job, `tickwork.store.outages` counts how often the store was lost. Beyond 200 jobs, others count as one.
    """
    check_scheduler("instrument", scheduler, "instrument(scheduler)")
    jobs = JobNames(MAX_JOBS)
    meter = metrics.get_meter("tickwork", meter_provider=meter_provider)
    scheduler.around_runs(_Spans(trace.get_tracer("tickwork", tracer_provider=tracer_provider)))
    scheduler.around_runs(_Active(meter, jobs))
    scheduler.add_listener(_Measured(meter, jobs), JobFired, RunSettled, StoreLost)


class _Spans:
    """A span around each call."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, job: Job, run: Run) -> Leave:
        span = self._tracer.start_span(ONE_OFF if job.disposable else job.id, attributes=_described(job, run))
        token = context.attach(trace.set_span_in_context(span))

        def leave(outcome: Outcome) -> None:
            context.detach(token)
            _tell(span, outcome)
            span.end()

        return leave


class _Active:
    """How many calls go on."""

    def __init__(self, meter: Meter, jobs: Names) -> None:
        self._jobs = jobs
        self._active = meter.create_up_down_counter(
            "tickwork.active_runs", unit="{run}", description="Runs whose function is being called."
        )

    def __call__(self, job: Job, run: Run) -> Leave:
        of_job = {"tickwork.job.id": self._jobs.of(job.id)}
        self._active.add(1, of_job)
        return lambda _: self._active.add(-1, of_job)


class _Measured:
    """What became of runs, as a listener hears it."""

    def __init__(self, meter: Meter, jobs: Names) -> None:
        self._jobs = jobs
        self._errors = Names(MAX_ERRORS)
        self._runs = meter.create_counter("tickwork.runs", unit="{run}", description="Runs that were closed.")
        self._lateness = meter.create_histogram(
            "tickwork.run.lateness", unit="s", description="From the fire time to the call.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self._duration = meter.create_histogram(
            "tickwork.run.duration", unit="s", description="How long the call took.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self._outages = meter.create_counter(
            "tickwork.store.outages", unit="{outage}", description="How often the store could not be used."
        )

    def __repr__(self) -> str:
        return "<tickwork.opentelemetry>"

    def __call__(self, event: Event) -> None:
        if isinstance(event, StoreLost):
            self._outages.add(1)
        for run in closed_runs(event):
            attributes = {"tickwork.job.id": self._jobs.of(run.job_id), "tickwork.run.state": str(run.state)}
            if run.lateness is not None:
                self._lateness.record(run.lateness.total_seconds(), attributes)
            if run.duration is not None:
                self._duration.record(run.duration.total_seconds(), attributes)
            error = error_type(run)
            self._runs.add(1, attributes if error is None else attributes | {"error.type": self._errors.of(error)})


def _described(job: Job, run: Run) -> Mapping[str, Any]:
    return {
        "code.function.name": job.func.replace(":", "."),
        "tickwork.job.id": job.id,
        "tickwork.job.name": job.name,
        "tickwork.run.id": run.id,
        "tickwork.run.key": run.key,
        "tickwork.run.fire_time": run.fire_time.isoformat(),
        "tickwork.run.attempt": run.attempt,
        "tickwork.run.origin": str(run.origin),
        "tickwork.node": run.node or "",
    }


def _tell(span: Span, outcome: Outcome) -> None:
    """Write on the span how its run ended; as OpenTelemetry wants it, what went well is not marked as such."""
    span.set_attribute("tickwork.run.state", str(outcome.state))
    reason = getattr(outcome, "reason", None)
    if reason is not None:
        span.set_attribute("tickwork.run.reason", reason)
    if outcome.state in ERRORS:
        span.set_status(Status(StatusCode.ERROR, reason))
        span.set_attribute("error.type", _raised(outcome))
    if isinstance(outcome, Failed) and outcome.error is not None:
        span.add_event("exception", {
            "exception.type": _raised(outcome),
            "exception.message": outcome.reason,
            "exception.stacktrace": outcome.error,
        })  # fmt: skip


def _raised(outcome: Outcome) -> str:
    raised = outcome.raised[0] if isinstance(outcome, Failed) and outcome.raised else str(outcome.state)
    return raised.replace(":", ".")
