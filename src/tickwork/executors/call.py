"""One call of a job's function: what it is given, and what becomes of it."""

from __future__ import annotations

import inspect
import logging
import math
import threading
import time
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Never, TypeVar, get_args, overload

from tickwork.arguments import Arguments
from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.codec import copied, plain_result
from tickwork.errors import InvalidJobError, RunCancelledError, SchedulerError
from tickwork.executors.capture import LogBuffer, RunLogger, capture_logs
from tickwork.executors.injection import Injector, Surroundings, find_injector
from tickwork.executors.kept import Kept
from tickwork.executors.records import Records
from tickwork.executors.state import JobState
from tickwork.executors.transaction import JoinedSettling, transaction
from tickwork.job import Job
from tickwork.plan import say_attempt
from tickwork.policies import exception_names
from tickwork.refs import Function
from tickwork.run import DONE, Cancelled, Failed, Lost, Missed, Outcome, Progress, Released, Run, Succeeded, TimedOut
from tickwork.signatures import name_of, signature

MAX_ERROR_LENGTH = 16 * 1024
MAX_REASON_LENGTH = 500
MAX_QUOTED_LENGTH = 200
"""Of a signature, or of what Python says of it, in an error."""
CODE_CHANGED = "the code has changed since the job was given it, modify_job gives it another"
RUN_NAMES = frozenset({"run", "context", "ctx", "run_context"})
"""By such a name a parameter may be meant to receive the run, though nothing says so."""
NOWHERE = Surroundings()
PROGRESS_INTERVAL = 0.5
"""Seconds between two progress reports that leave the process; those in between stay in it."""

Item = TypeVar("Item")

log = logging.getLogger("tickwork.run")

_current: ContextVar[RunContext] = ContextVar("tickwork_run")
_only_calls: list[bool] = []
_making = threading.RLock()
_uses_state: set[Function] = set()
"""The functions that were seen to use the state of their job; there are no more of them than functions of jobs."""


def current_run() -> RunContext:
    """The run that this code is part of. LookupError outside of a run."""
    try:
        return _current.get()
    except LookupError:
        raise LookupError("expected to be inside a run of a job, got a call from elsewhere") from None


def inside_run() -> bool:
    return _current.get(None) is not None


def only_make_calls() -> None:
    """From now on this process is one of `ProcessExecutor`'s, in which no scheduler may start."""
    _only_calls.append(True)


def only_makes_calls() -> bool:
    return bool(_only_calls)


class RunContext:
    """What a job's function may know about its run: a parameter with this annotation receives it."""

    __slots__ = ("_call", "_progress_sent_at")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._progress_sent_at = 0.0

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

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger of the function's module. What it logs is kept with the run, from INFO on (`log_level`), also
        where the app shows no such lines; and so is what other loggers log inside of the run, as far as their levels
        let it pass.
        """
        run, job = self._call.run, self._call.job
        logger = logging.getLogger(job.func.partition(":")[0])
        return RunLogger(logger, self._call.surroundings.log_level, {"job": job.id, "run": run.id})

    @property
    def state(self) -> JobState:
        """What the job's runs hand on to each other: a dict of plain JSON, 64 KiB in all, that is written with the
        success of this run, in the same commit. `run.state["cursor"] = page.next`

        If another run, or somebody outside, has changed the same keys meanwhile, this one fails instead. The first
        use reads it from the store; for coroutines that were seen to use it, that is done before they are called.
        """
        records = self._call.records
        _uses_state.add(self._call.func)
        return kept_of(self._call).state_of(records, self._call.run)

    @state.setter
    def state(self, values: Never) -> None:
        raise AttributeError(
            "run.state: expected its keys to be set, got another value for all of it: "
            'write run.state["cursor"] = ..., or run.state.update(...)'
        )

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction in the store's own database, which commits what is written in it and the success of this run
        together, or neither: `with run.transaction() as connection: connection.execute("insert ...")`

        It is the driver's connection (`sqlite3`, `psycopg`), for plain functions; it must not be committed, closed or
        kept. If anything is raised all is rolled back, and the run fails as usual. At the end of the block the run has
        succeeded, with what it logged and made of its state; what the function returns or raises after it counts no
        more. On SQLite nobody else writes meanwhile: do slow things before.

        Raises StoreUnusableError for a store without transactions (memory), RunLostError if the run was taken over,
        RunCancelledError if it was asked to end, StateConflictError, StoreUnavailableError, and SchedulerError in an
        event loop.
        """
        return transaction(self._call, kept_of(self._call), self._call.records)

    @property
    def settling(self) -> JoinedSettling:
        """For `settle_run` of tickwork.stores.postgresql, which settles this run in a transaction of your own."""
        return JoinedSettling(self._call, kept_of(self._call))

    @property
    def cancelled(self) -> bool:
        """Whether this run was asked to end: someone cancelled it, or it has timed out.

        A coroutine is cancelled besides, and in a process of its own a function sees RunCancelledError, where it is; a
        function on a thread, to which neither can be done, may look here now and then and return, or call
        `raise_if_cancelled`, so that what it has half done is not taken for done.
        """
        return self._call.asked is not None

    def raise_if_cancelled(self) -> None:
        """End this run here if it was asked to end: a RunCancelledError, which its dependencies see, too."""
        if self._call.asked is not None:
            raise RunCancelledError(self._call.asked.reason)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the run has come; people see it within a second. Cheap enough for every step."""
        self._call.progress = Progress(
            _finite("done", done), None if total is None else _finite("total", total),
            _writable(str(message)[:MAX_REASON_LENGTH]),
        )  # fmt: skip
        now = time.monotonic()
        if now - self._progress_sent_at >= PROGRESS_INTERVAL:
            self._progress_sent_at = now
            self._call.progressed(self._call)

    @overload
    def track(self, items: Iterable[Item], *, total: int | None = None, message: str = "") -> Iterator[Item]: ...

    @overload
    def track(
        self, items: AsyncIterable[Item], *, total: int | None = None, message: str = ""
    ) -> AsyncIterator[Item]: ...

    def track(
        self, items: Iterable[Item] | AsyncIterable[Item], *, total: int | None = None, message: str = ""
    ) -> Iterator[Item] | AsyncIterator[Item]:
        """The *items*, one by one, with the progress told before each and behind the last; of asynchronous
        items in an `async for`.

        The *total* is their length if they have one.
        """
        count = len(items) if total is None and isinstance(items, Sized) else total
        if isinstance(items, AsyncIterable):
            return self._track_async(items, count, message)
        return self._track(items, count, message)

    def _track(self, items: Iterable[Item], total: int | None, message: str) -> Iterator[Item]:
        done = 0
        for item in items:
            self.progress(done, total, message)
            yield item
            done += 1
        self.progress(done, total, message)

    async def _track_async(self, items: AsyncIterable[Item], total: int | None, message: str) -> AsyncIterator[Item]:
        done = 0
        async for item in items:
            self.progress(done, total, message)
            yield item
            done += 1
        self.progress(done, total, message)


class Call:
    """A function with its arguments and its run: what a node has in hand until the run is settled."""

    __slots__ = (
        "args",
        "asked",
        "clock",
        "func",
        "job",
        "kept",
        "kwargs",
        "progress",
        "progressed",
        "run",
        "started_at",
        "submitted_at",
        "surroundings",
    )

    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def __init__(
        self, job: Job, run: Run, func: Function, clock: Clock, progressed: Callable[[Call], None],
        surroundings: Surroundings = NOWHERE,
    ) -> None:  # fmt: skip
        self.job = job
        self.run = run
        self.func = func
        args, kwargs = (job.args, job.kwargs) if run.given is None else run.given
        self.args = tuple(copied(value) for value in args) if args else ()
        self.kwargs = {name: copied(value) for name, value in kwargs.items()} if kwargs else {}
        self.clock = clock
        self.progressed = progressed
        self.surroundings = surroundings
        self.submitted_at: datetime | None = None
        self.started_at: datetime | None = None
        self.progress: Progress | None = None
        """The latest that it told."""
        self.asked: TimedOut | Cancelled | None = None
        """Why it was asked to end. None: it was not."""
        self.kept: Kept | None = None
        """What is to be kept of it besides its outcome. None, as for most: nothing."""

    @property
    def records(self) -> Records:
        """The store, for what the function does with it. SchedulerError if there is none."""
        if self.surroundings.records is None:
            raise SchedulerError("expected to be inside a run of a scheduler, got a call without a store")
        return self.surroundings.records

    @property
    def deadline(self) -> datetime | None:
        """When it has taken too long. None: it may take its time, or has not begun."""
        timeout, started_at = self.job.timeout, self.started_at
        return None if timeout is None or started_at is None else started_at + timeout


def begin(call: Call, now: datetime) -> tuple[Token[RunContext], RunContext]:
    """The call begins here and *now*: what ends its context, and the context.

    A call does not know its context, which knows the call: a circle for each run would be the collector's main work.
    """
    capture_logs(_log_of_this_run)
    context = RunContext(call)
    call.started_at = now
    return _current.set(context), context


def _log_of_this_run(level: int) -> LogBuffer | None:
    """Where a record of this level is kept that is made here and now."""
    context = _current.get(None)
    if context is None:
        return None
    call = context._call  # noqa: SLF001  it is this module's
    least = call.surroundings.log_level
    return kept_of(call).log_of(call.clock) if least is not None and level >= least else None


def kept_of(call: Call) -> Kept:
    """What is kept of the call, from the moment on that something is."""
    if call.kept is None:
        with _making:  # two of its threads may log their first lines at once
            call.kept = call.kept or Kept()
    return call.kept


def invoke(call: Call) -> Outcome:
    """Make the call on this thread. Never raises: whatever the function does is an outcome."""
    now = call.clock.now()
    if (refused := refusal(call, now)) is not None:
        return refused
    token, context = begin(call, now)
    try:
        wants = wants_of(call.func)
        args, kwargs = (call.args, call.kwargs) if wants.nothing else given(call, wants, context)
        if wants.injector is None:
            return success(call, _completed(call.func(*args, **kwargs)))
        if is_async(call.func):
            within = wants.injector.in_loop(context, call.surroundings)
            return success(call, _completed(_called_within(within, call.func, args, kwargs)))
        with wants.injector.on_thread(context, call.surroundings) as values:
            result = call.func(*args, **kwargs, **values)
            refuse_if_too_late(call)
            return success(call, result)
    except BaseException as error:  # noqa: BLE001  whatever the function does is an outcome
        return failure(call, error)
    finally:
        _current.reset(token)


def refusal(call: Call, now: datetime) -> Outcome | None:
    """Why a call must not begin any more *now*. None: it may."""
    if call.asked is not None:
        return Lost("it was asked to end before it began")
    expires_at, lease_until = call.run.expires_at, call.run.lease_until
    if expires_at is not None and expires_at <= now:
        return Missed.waiting(call.run)
    if lease_until is not None and lease_until <= now:  # it waited here while its node could not renew it
        return Released()
    return None


def refuse_if_too_late(call: Call) -> None:
    """Raise inside of what the call was lent, if the function took longer than it was allowed: its session is rolled
    back, as the run has timed out whatever the function returned.
    """
    if isinstance(call.asked, TimedOut):
        raise RunCancelledError(call.asked.reason)


def given(call: Call, wants: Wants, context: RunContext) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """What the function receives, but for what an integration fills. InvalidJobError for an argument that misfits."""
    arguments, args, kwargs = wants.arguments, call.args, call.kwargs
    try:
        if not arguments.as_kept:
            args, kwargs = arguments.give(args, kwargs)
        elif call.run.given is not None:  # which no other run has
            arguments.check(args, kwargs)
        elif not arguments.unchecked and arguments.fitting.get(call.job.uid) != call.job.revision:
            arguments.check_again(call.job)
    except InvalidJobError as error:
        raise InvalidJobError(f"{error}: {CODE_CHANGED}") from None
    return args, kwargs if wants.context is None else {**kwargs, wants.context: context}


def uses_state(call: Call) -> bool:
    """Whether the function will ask for the state of its job, as far as is known: it has done so before."""
    return call.func in _uses_state


def success(call: Call, result: Any) -> Succeeded:
    """The outcome of a call that returned. InvalidJobError if what it has made of its state cannot be kept."""
    if call.kept is not None and call.kept.state is not None:
        call.kept.change = call.kept.state.change()
    if result is None:
        return DONE
    try:
        return Succeeded(plain_result(result))
    except InvalidJobError as error:
        return Succeeded(reason=_shortened(_printable(str(error))))


def failure(call: Call, error: BaseException) -> Failed:
    """The outcome of a call that raised: one line, and the traceback without tickwork's own frame."""
    if isinstance(error, TypeError):
        error = _not_taken(call) or error
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    try:
        text = "".join(traceback.format_exception(type(error), error, inner))
    except BaseException as worse:  # noqa: BLE001  formatting calls the exception's own code
        text = f"its traceback cannot be written: {type(worse).__name__}"
    ended = "failed" if call.asked is None else f"ends as {call.asked.state}"  # as the ledger has it
    reason, raised = _one_line(error), exception_names(error)
    follows = say_attempt(call.run, call.job.retry, raised) if call.asked is None else ""
    log.warning("run %s of job %r %s: %s%s", call.run.id, call.run.job_id, ended, reason, follows)
    return Failed(reason, _writable(text)[-MAX_ERROR_LENGTH:], raised)


def _not_taken(call: Call) -> InvalidJobError | None:
    """That the function takes other arguments than it was called with. None: so the error is its own.

    It tells how many they are and their names: more people see the reason of a run than its arguments.
    """
    try:
        check_arguments(call.func, (...,) * len(call.args), dict.fromkeys(call.kwargs, ...))
    except InvalidJobError as error:
        return InvalidJobError(f"{error}: {CODE_CHANGED}")
    return None


@lru_cache(10_000)
def is_async(func: Function) -> bool:
    """Whether a call of *func* is a coroutine to be awaited."""
    return inspect.iscoroutinefunction(func)


@lru_cache(10_000)
def is_generator(func: Function) -> bool:
    """Whether a call of *func* runs nothing of it."""
    return inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func)


@lru_cache(10_000)
def takes_nothing(func: Function) -> bool:
    """Whether *func* can be called without arguments."""
    try:
        signature(func).bind()
    except TypeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Wants:
    """What a function is to be given."""

    arguments: Arguments
    """How those that the job keeps become what it receives."""
    context: str | None
    """The parameter that receives the RunContext."""
    injector: Injector | None
    """What fills others. None: nothing does."""
    nothing: bool
    """Whether it is given what the job keeps and no more, as most are."""


@lru_cache(10_000)
def wants_of(func: Function) -> Wants:
    """What *func* is to be given, found in its signature once; InvalidJobError if it asks for what cannot be had."""
    context, injector = context_parameter(func), find_injector(func)
    arguments = Arguments(func, {name for name in (context, *(injector.names if injector else ())) if name})
    return Wants(arguments, context, injector, arguments.unchecked and context is None and injector is None)


@lru_cache(10_000)
def context_parameter(func: Function) -> str | None:
    """The name of the parameter that receives the RunContext, or None if the function wants none."""
    for parameter in signature(func).parameters.values():
        if is_context(parameter.annotation):
            return parameter.name
    return None


def is_context(annotation: object) -> bool:
    """Whether an annotation says RunContext: itself, with None beside it, or as text in whatever module's name."""
    if isinstance(annotation, str):
        return any(part.strip().rpartition(".")[2] == "RunContext" for part in annotation.split("|"))
    return annotation is RunContext or RunContext in get_args(annotation)


def keep_arguments(
    func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """These arguments as a job of *func* keeps them: plain JSON, from which each call makes what it receives.

    InvalidJobError if the function could not be called with them, or asks for what no job can be given.
    """
    wants = wants_of(func)
    left_out = isinstance(args, list | tuple) and isinstance(kwargs, dict) and not args and not kwargs
    if left_out and wants.nothing and takes_nothing(func):
        return (), {}
    arguments = wants.arguments
    kept_args, kept_kwargs = arguments.keep(args, kwargs)
    check_arguments(func, kept_args, kept_kwargs)
    arguments.check(kept_args, kept_kwargs)
    return kept_args, kept_kwargs


def check_arguments(func: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """InvalidJobError if *func* could not be called with so many and such names; tickwork fills in the others."""
    wants = wants_of(func)
    filled = {} if wants.context is None else {wants.context: "tickwork passes the RunContext"}
    if wants.injector is not None:
        filled |= dict.fromkeys(wants.injector.names, "it is resolved anew for each run")
    for name in filled.keys() & kwargs.keys():
        raise InvalidJobError(f"kwargs: expected {name!r} to be left out, got a value: {filled[name]}")
    try:
        signature(func).bind(*args, **kwargs, **dict.fromkeys(filled))
    except TypeError as error:
        own = [each for each in signature(func).parameters.values() if each.name not in filled]
        takes = _shortened(f"{name_of(func)}{signature(func).replace(parameters=own)}", MAX_QUOTED_LENGTH)
        raise InvalidJobError(
            f"args, kwargs: expected what {takes} takes, "
            f"got args={shown(args)} kwargs={shown(dict(kwargs))}: "
            f"{_shortened(str(error), MAX_QUOTED_LENGTH)}{_hint(own)}{_by_name(args, filled)}"
        ) from None


def _by_name(args: Sequence[Any], filled: Mapping[str, str]) -> str:
    """What more to say of positional arguments beside parameters that are filled in, which take part in their order."""
    return f": pass them by name, kwargs={{...}}, beside {', '.join(filled)}" if args and filled else ""


def _hint(parameters: Sequence[inspect.Parameter]) -> str:
    """What more to say of parameters that miss a value, if one of them may be meant to be filled in by tickwork."""
    for each in parameters:
        if isinstance(each.annotation, str):
            return f"; the annotation {each.annotation!r} cannot be evaluated: import its names not under TYPE_CHECKING"
        if each.annotation is inspect.Parameter.empty and each.name in RUN_NAMES:
            return f": write `{each.name}: RunContext` if it is to receive the run"
    return ""


def _completed(result: Any) -> Any:
    """What a call on a thread returned; the result of a coroutine, of a function that was given to it on purpose."""
    if not inspect.iscoroutine(result):
        return result
    import asyncio  # noqa: PLC0415  a third of what it would cost to import tickwork, for what few need

    return asyncio.run(result)


async def _called_within(
    filling: AbstractAsyncContextManager[Mapping[str, Any]],
    func: Function,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    async with filling as values:
        return await func(*args, **kwargs, **values)


def _one_line(error: BaseException) -> str:
    try:
        text = _printable(str(error))
    except BaseException as worse:  # noqa: BLE001  its __str__ is anybody's code
        text = f"its text cannot be read: {type(worse).__name__}"
    return _shortened(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _printable(text: str) -> str:
    """The beginning of *text*, on one line."""
    line = _writable(" ".join(text.split()))[: MAX_REASON_LENGTH + 1]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _shortened(line: str, most: int = MAX_REASON_LENGTH) -> str:
    return line if len(line) <= most else f"{line[: most - 3]}..."


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
