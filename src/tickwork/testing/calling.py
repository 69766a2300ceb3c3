"""A job's function as a run calls it, without a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from tickwork.clock import aware_utc
from tickwork.errors import DependencyError
from tickwork.executors.call import Call, is_async, keep_arguments
from tickwork.executors.injection import Surroundings
from tickwork.job import Job
from tickwork.refs import Function, find_function
from tickwork.run import Failed, Run, RunState
from tickwork.signatures import name_of
from tickwork.testing.clock import VirtualClock
from tickwork.testing.inline import make_call
from tickwork.triggers import DateTrigger


def call_job(
    func: Function | str, *, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, id: str = "job",
    fire_time: datetime = datetime(2026, 1, 1, tzinfo=UTC), attempt: int = 1, app: Any = None,
    state: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Call *func*, or what `module:qualname` names, as a run of the job *id* does; return or raise what it does.

    Arguments are written as JSON and read again by their annotations; a RunContext knows this *fire_time* and
    *attempt*; what stands as `Depends` is resolved, with *app* and its *state*, and cleaned up. A coroutine is run to
    its end, also from within an event loop.

    Raises InvalidJobError for arguments that do not fit, and DependencyError if a dependency fails.
    """
    function = find_function(func) if isinstance(func, str) else func
    kept_args, kept_kwargs = keep_arguments(function, args, kwargs or {})
    at = aware_utc(fire_time, "fire_time")
    made = _Made(function)
    job = Job(
        id=id, func=f"{function.__module__}:{name_of(function)}", trigger=DateTrigger(at), anchored_at=at,
        args=kept_args, kwargs=kept_kwargs, name=name_of(function), uid=1,
    )  # fmt: skip
    run = Run(
        job_id=id, job_uid=job.uid, fire_time=at, available_at=at, attempt=attempt, state=RunState.RUNNING,
        node="test", lease_until=at + timedelta(days=1),
    )  # fmt: skip
    surroundings = Surroundings()
    surroundings.app, surroundings.state = app, state
    call = Call(job, run, made.func, VirtualClock(at), _tell_nobody, surroundings)
    outcome = make_call(call)
    if made.raised is not None:
        raise made.raised
    if isinstance(outcome, Failed):
        raise DependencyError(f"expected what {name_of(function)} depends on, got {outcome.reason}\n{outcome.error}")
    return made.returned


def _tell_nobody(call: Call) -> None:
    """Of progress, only the call itself keeps the latest."""


class _Made:
    """A function that keeps what it returns and raises: of that, a run's outcome holds only what can be written."""

    def __init__(self, func: Function) -> None:
        self.returned: Any = None
        self.raised: BaseException | None = None

        @wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                self.returned = func(*args, **kwargs)
            except BaseException as error:
                self.raised = error
                raise
            return self.returned

        @wraps(func)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            try:
                self.returned = await func(*args, **kwargs)
            except BaseException as error:
                self.raised = error
                raise
            return self.returned

        self.func: Function = call_async if is_async(func) else call
