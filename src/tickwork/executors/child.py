"""What runs inside of a process that `ProcessExecutor` keeps: it makes the calls that it is told, one after the other.

The rule: it lives no longer than who began it. What it is told and what it tells is plain JSON.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, Never

from tickwork import errors
from tickwork.clock import SystemClock, from_micros
from tickwork.codec import read_state
from tickwork.errors import FunctionReferenceError, RunCancelledError, SchedulerError
from tickwork.executors.call import Call, failure, invoke, only_make_calls
from tickwork.executors.capture import LogBuffer
from tickwork.executors.injection import Surroundings
from tickwork.executors.kept import Kept
from tickwork.job import Job
from tickwork.jobstate import StateChange, StoredState
from tickwork.refs import find_function
from tickwork.run import Cancelled, Failed, Given, Origin, Outcome, Run, RunState, Succeeded
from tickwork.triggers import DateTrigger

Told = Mapping[str, Any]
Tell = Callable[[Told], None]


def serve(talk: int, answers: int, lifeline: int) -> None:
    """Make the calls that come through the socket *talk* until it is closed; end at once when *lifeline* is.

    What the parent answers comes through a pipe of its own: a thread that a function has left behind may wait for it,
    and must not read the next call.
    """
    only_make_calls()
    sys.argv[1:] = []
    for fd in (talk, answers, lifeline):
        os.set_inheritable(fd, False)  # what the jobs start must not hold it
    _end_with_parent(lifeline)
    logging.getLogger("tickwork.run").disabled = True  # the parent says it, where logging is set up
    connection, writing = (
        Connection(talk),
        threading.RLock(),
    )  # taken again by what the garbage collector may call inside

    def tell(what: Told) -> None:
        message = json.dumps(what).encode()
        with writing, suppress(OSError):  # nobody listens any more, and this process is about to end
            connection.send_bytes(message)

    desk = Desk(tell, Connection(answers, writable=False))
    signal.signal(signal.SIGTERM, desk.end)
    tell({"ready": True})
    with suppress(EOFError, OSError):
        while True:
            desk.work(json.loads(connection.recv_bytes()))


class Desk:
    """Where one call at a time is made."""

    def __init__(self, tell: Tell, answers: Connection) -> None:
        self._tell = tell
        self._answers = answers
        self._asking = threading.RLock()  # who is ended while it waits may ask again on its way out
        self._asked = 0
        self._call: Call | None = None

    def work(self, told: Told) -> None:
        """Make the call that is *told*, and tell what became of it."""

        def tell(what: Told) -> None:
            self._tell({"run": told["run"], **what})

        tell({"begun": True})  # from here on it cannot be made by another process instead
        records: Any = ToldRecords(partial(self._ask, told["run"]))
        call = _call_without_function(told, lambda call: tell({"progress": _progress_of(call)}), records)
        call.kept = Kept()
        call.kept.log = ToldLog(tell)
        try:
            self._call = call
            call.func = _find(call.job.func)
            outcome = invoke(call)
        except BaseException as error:  # noqa: BLE001  importing a module runs anybody's code
            outcome = failure(call, error)
        finally:
            self._call = None
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
        written = {**_written(outcome), "progress": _progress_of(call), "state": _change_of(call.kept)}
        tell({"outcome": written, "asked": call.asked is not None})

    def _ask(self, run: str, change: Told | None) -> StoredState:
        """The state of the job as the parent reads it, or as it is after this *change*; raises what that raised."""
        with self._asking:
            self._asked += 1
            self._tell({"run": run, "ask": self._asked, "change": change})
            while (answer := json.loads(self._answers.recv_bytes()))["to"] != self._asked:
                pass  # it was to one that did not wait for it, as its run was to end
        if "raise" in answer:
            name, text = answer["raise"]
            raise getattr(errors, name, SchedulerError)(text)
        return read_state(answer["version"], answer["entries"])

    def end(self, number: int, frame: FrameType | None) -> None:
        """This process is to end (SIGTERM): what the function has open is closed on the way."""
        call = self._call
        if call is None:
            os._exit(0)
        if call.asked is None:
            call.asked = Cancelled("its process is to end")
            raise RunCancelledError(call.asked.reason)


class ToldLog(LogBuffer):
    """Lines that are told to the parent at once, which keeps them: of a process that crashes the last ones matter."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Tell) -> None:
        super().__init__(SystemClock())
        self._tell = tell

    def keep(self, level: str, logger: str, text: str) -> None:
        self._tell({"log": [level, logger, text]})


class ToldRecords:
    """The store, in a process that has none: the parent reads and saves the state, and nothing else can be had."""

    def __init__(self, ask: Callable[[Told | None], StoredState]) -> None:
        self._ask = ask

    def state(self, job_uid: int) -> StoredState:
        return self._ask(None)

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState:
        return self._ask({"read": change.read, "written": change.written})

    def __getattr__(self, name: str) -> Never:
        raise SchedulerError(
            "run.transaction(): expected a run in the scheduler's own process, got one in a process of its own, which "
            "has no store: give the job executor='threads'"
        )


def _call_without_function(told: Told, progressed: Callable[[Call], None], records: Any) -> Call:
    at = from_micros(told["fire_time"])
    args, kwargs = told["args"], told["kwargs"]
    job = Job(
        told["job_id"], told["func"], DateTrigger(), anchored_at=at, next_fire_time=None, name=told["job_id"],
        uid=told["job_uid"], args=tuple(args), kwargs=kwargs,
    )  # fmt: skip
    run = Run(
        job.id, job.uid, at, at, attempt=told["attempt"], origin=Origin(told["origin"]), state=RunState.RUNNING,
        given=Given(tuple(args), kwargs),  # so that they are checked each time, whatever the job's were
    )  # fmt: skip
    surroundings = Surroundings(log_level=told["log_level"], records=records)
    return Call(job, run, _find, SystemClock(), progressed, surroundings)


def _find(ref: str) -> Callable[..., Any]:
    if ref.startswith(("__main__:", "<")):  # a notebook or `python -c`; `python -`
        raise FunctionReferenceError(
            f"func: expected a function that another process can import, got {ref!r}, of a program that is no file: "
            f"move it to a module, or give the job executor='threads'"
        )
    return find_function(ref)


def _written(outcome: Outcome) -> Told:
    match outcome:
        case Succeeded(result, reason):
            return {"result": result, "reason": reason}
        case Failed(reason, error, raised):
            return {"reason": reason, "error": error, "raised": raised}
        case _:
            raise AssertionError(outcome)  # only the parent refuses calls


def _change_of(kept: Kept) -> Told | None:
    """What the function has made of its job's state, for the parent to write with the outcome."""
    change = kept.change
    return None if change is None else {"read": change.read, "written": change.written}


def _progress_of(call: Call) -> list[Any] | None:
    told = call.progress
    return None if told is None else [told.done, told.total, told.message]


def _end_with_parent(lifeline: int) -> None:
    """End this process, and what its jobs have started, when the parent's end of *lifeline* is closed.

    On Linux the kernel does it, also to code that never lets another thread run; elsewhere a thread does.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    # It also sees a parent that has died before.
    threading.Thread(target=_watch, args=(lifeline,), name="tickwork-lifeline", daemon=True).start()


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)
