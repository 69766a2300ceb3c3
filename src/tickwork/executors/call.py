"""One call of a job's function: what it is given, and what becomes of it."""

from __future__ import annotations

import inspect
import logging
import math
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar, Token
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.codec import copied, plain_result
from tickwork.errors import InvalidJobError
from tickwork.job import Job
from tickwork.refs import Function
from tickwork.run import DONE, Failed, Outcome, Progress, Run, Succeeded

MAX_ERROR_LENGTH = 16 * 1024
MAX_REASON_LENGTH = 500
PROGRESS_INTERVAL = 0.5
"""Seconds between two progress reports that leave the process; those in between stay in it."""

Item = TypeVar("Item")

log = logging.getLogger("tickwork.run")

_current: ContextVar[RunContext] = ContextVar("tickwork_run")


def current_run() -> RunContext:
    """The run that this code is part of. LookupError outside of a run."""
    try:
        return _current.get()
    except LookupError:
        raise LookupError("expected to be inside a run of a job, got a call from elsewhere") from None


def inside_run() -> bool:
    return _current.get(None) is not None


class RunContext:
    """What a job's function may know about its run: a parameter with this annotation receives it."""

    __slots__ = ("_call", "_progress_sent_at", "latest_progress")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._progress_sent_at = 0.0
        self.latest_progress: Progress | None = None

    @property
    def id(self) -> str:
        """The run's id, another one for each attempt."""
        return self._call.run.id

    @property
    def key(self) -> str:
        """The idempotency key: the same for all attempts at this fire time."""
        return self._call.run.key

    @property
    def job_id(self) -> str:
        return self._call.run.job_id

    @property
    def fire_time(self) -> datetime:
        """The instant that the trigger named, in UTC; not when the call began."""
        return self._call.run.fire_time

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._call.run.attempt

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the run has come; people see it within a second. Cheap enough for every step."""
        self.latest_progress = Progress(
            _finite("done", done), None if total is None else _finite("total", total),
            _writable(str(message)[:MAX_REASON_LENGTH]),
        )  # fmt: skip
        now = time.monotonic()
        if now - self._progress_sent_at >= PROGRESS_INTERVAL:
            self._progress_sent_at = now
            self._call.progressed(self._call)

    def track(self, items: Iterable[Item], *, total: int | None = None, message: str = "") -> Iterator[Item]:
        """The *items*, one by one, with the progress told before each; the total is their length if they have one."""
        count = len(items) if total is None and isinstance(items, Sized) else total
        for done, item in enumerate(items):
            self.progress(done, count, message)
            yield item
        if count is not None:
            self.progress(count, count, message)


class Call:
    """A function with its arguments and its run: what a node has in hand until the run is settled."""

    __slots__ = ("args", "clock", "context", "func", "job", "kwargs", "progressed", "run", "started_at", "submitted_at")

    def __init__(self, job: Job, run: Run, func: Function, clock: Clock, progressed: Callable[[Call], None]) -> None:
        self.job = job
        self.run = run
        self.func = func
        self.args = tuple(copied(value) for value in job.args) if job.args else ()
        self.kwargs = {name: copied(value) for name, value in job.kwargs.items()}
        self.context = RunContext(self)
        self.clock = clock
        self.progressed = progressed
        self.submitted_at: datetime | None = None
        self.started_at: datetime | None = None
        parameter = context_parameter(func)
        if parameter is not None:
            self.kwargs[parameter] = self.context

    @property
    def progress(self) -> Progress | None:
        return self.context.latest_progress


def begin(call: Call) -> Token[RunContext]:
    """The call begins here and now, in this context."""
    call.started_at = call.clock.now()
    return _current.set(call.context)


def invoke(call: Call) -> Outcome:
    """Make the call on this thread. Never raises: whatever the function does is an outcome."""
    token = begin(call)
    try:
        result = call.func(*call.args, **call.kwargs)
        if inspect.iscoroutine(result):  # an async function that was given to a thread on purpose
            result = _run_coroutine(result)
        return success(result)
    except BaseException as error:  # noqa: BLE001  whatever the function does is an outcome
        return failure(call, error)
    finally:
        _current.reset(token)


def success(result: Any) -> Succeeded:
    """The outcome of a call that returned."""
    return DONE if result is None else Succeeded(plain_result(result))


def failure(call: Call, error: BaseException) -> Failed:
    """The outcome of a call that raised: one line, and the traceback without tickwork's own frame."""
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    text = "".join(traceback.format_exception(type(error), error, inner))
    log.warning("run %s of job %r failed: %s", call.run.id, call.run.job_id, _one_line(error))
    return Failed(_one_line(error), _writable(text)[-MAX_ERROR_LENGTH:])


@lru_cache(10_000)
def context_parameter(func: Function) -> str | None:
    """The name of the parameter that receives the RunContext, or None if the function wants none."""
    for parameter in signature(func).parameters.values():
        if parameter.annotation in (RunContext, "RunContext", "tickwork.RunContext"):
            return parameter.name
    return None


def check_arguments(func: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """InvalidJobError if *func* could not be called with these; a RunContext is given by tickwork."""
    parameter = context_parameter(func)
    given = dict(kwargs) if parameter is None else {**kwargs, parameter: None}
    if parameter is not None and parameter in kwargs:
        raise InvalidJobError(
            f"kwargs: expected {parameter!r} to be left out, got a value: tickwork passes the RunContext"
        )
    try:
        signature(func).bind(*args, **given)
    except TypeError as error:
        name = getattr(func, "__qualname__", repr(func))
        raise InvalidJobError(
            f"args, kwargs: expected what {name}{signature(func)} takes, "
            f"got args={args!r} kwargs={dict(kwargs)!r}: {error}"
        ) from None


@lru_cache(10_000)
def signature(func: Function) -> inspect.Signature:
    try:
        return inspect.signature(func)
    except (TypeError, ValueError):  # some functions written in C have none
        return inspect.Signature(
            [
                inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
            ]
        )


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    import asyncio  # noqa: PLC0415  a third of what it would cost to import tickwork, for what few need

    return asyncio.run(coroutine)


def _one_line(error: BaseException) -> str:
    try:
        text = _writable(" ".join(str(error).split()))
    except Exception as worse:  # noqa: BLE001  its __str__ is anybody's code
        text = f"its text cannot be read: {type(worse).__name__}"
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= MAX_REASON_LENGTH else f"{line[: MAX_REASON_LENGTH - 3]}..."


def _writable(text: str) -> str:
    """*text* as every store can write it: half of a surrogate pair is written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _finite(name: str, number: float) -> float:
    """*number* as plain JSON has it, whatever library it comes from."""
    try:
        plain = number if isinstance(number, int) else float(number)
        if math.isfinite(plain):
            return plain
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidJobError(f"progress: expected a finite number as {name}, got {shown(number)}")
