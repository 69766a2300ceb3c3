"""Calls in processes of their own, which can be ended from outside, and can crash alone.

The rule: one thread here stands for each process, and nobody else touches it: it starts the process when the first
call comes, talks with it, ends it, and reports what became of the call, whatever became of the process.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.spawn import get_executable
from queue import SimpleQueue
from typing import Any
from weakref import WeakSet

from tickwork.checks import check_whole
from tickwork.clock import to_micros
from tickwork.codec import write_state
from tickwork.errors import InvalidJobError, RunClosedError
from tickwork.executors.around import enter, leave
from tickwork.executors.base import Report
from tickwork.executors.call import Call, kept_of, refusal
from tickwork.executors.state import save_state
from tickwork.jobstate import StateChange
from tickwork.plan import say_attempt
from tickwork.run import Failed, Lost, Outcome, Progress, Succeeded

MAX_PROCESSES = 100
GRACE = 0.5
"""Seconds from SIGTERM, which a function sees as RunCancelledError, to SIGKILL; less than a shutdown's last call."""
READY_WITHIN = 60.0
"""Seconds in which a process that was started says that it is there."""
LOOK = 0.1
"""Seconds between two looks at whether a process still lives, and whether it is to end."""
MAX_MESSAGE_LENGTH = 1024 * 1024
SERVE = (
    "import sys; sys.path[:] = sys.argv[4:]; from tickwork.executors.child import serve; "
    "serve(*map(int, sys.argv[1:4]))"
)

log = logging.getLogger("tickwork.run")


class ProcessExecutor:
    """Up to *max_workers* calls at once, each in a process of its own: `executors={"processes": ProcessExecutor(4)}`.

    For functions that compute for long, that may crash, or whose `timeout` must end them whatever they do. A process
    is started when it is first needed, imports the job's function by its name, and is kept for the next call. A
    call that times out or is cancelled sees RunCancelledError; half a second later its process is killed.

    Raises InvalidJobError for a number that is not from 1 to 100, and on Windows.
    """

    def __init__(self, max_workers: int = 4) -> None:
        check_whole("ProcessExecutor max_workers", max_workers, most=MAX_PROCESSES)
        if sys.platform == "win32":
            raise InvalidJobError("ProcessExecutor: expected a POSIX system, got Windows: use ThreadExecutor there")
        self.max_workers = max_workers
        self._workers: list[Worker] = []

    def start(self, report: Report) -> None:
        self._calls: deque[Call] = deque()
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._submitted = 0
        self._workers = [Worker(self._calls, self._wakes, report, number) for number in range(self.max_workers)]

    def free(self) -> int:
        """How many processes have nothing to do: no call is taken to wait here while another node is idle."""
        return self.max_workers - self._submitted + sum(worker.finished for worker in self._workers)

    def submit(self, calls: Sequence[Call]) -> None:
        self._calls.extend(calls)
        self._submitted += len(calls)
        for _ in range(min(len(calls), self.max_workers)):
            self._wakes.put(True)

    def take_back(self) -> Sequence[Call]:
        calls: list[Call] = []
        while (call := _pop(self._calls)) is not None:
            calls.append(call)
        self._submitted -= len(calls)
        return calls

    def cancel(self, call: Call) -> bool:
        return any(worker.cancel(call) for worker in self._workers)

    def stop(self) -> None:
        for _ in self._workers:
            self._wakes.put(False)


class Worker:
    """One thread and the process that it has: no other writes its counter, or touches its process but to answer it."""

    __slots__ = ("_call", "_child", "_ending", "finished")

    def __init__(self, calls: deque[Call], wakes: SimpleQueue[bool], report: Report, number: int) -> None:
        self.finished = 0
        self._call: Call | None = None
        self._ending: Call | None = None
        self._child: Child | None = None
        name = f"tickwork-process-{number}"
        threading.Thread(target=self._work, args=(calls, wakes, report), name=name, daemon=True).start()

    def cancel(self, call: Call) -> bool:
        """End this call, if it is the one in hand."""
        if self._call is not call:
            return False
        self._ending = call
        return True

    def _work(self, calls: deque[Call], wakes: SimpleQueue[bool], report: Report) -> None:
        try:
            while wakes.get():
                while (call := _pop(calls)) is not None:
                    self._call = call  # before it is asked whether it may begin: who asks it to end comes here after
                    outcome = self._outcome_of(call)
                    self._call = None
                    self.finished += 1
                    report(call, outcome)
        finally:
            self._let_go()

    def _outcome_of(self, call: Call) -> Outcome:
        """Make the call, within what is put around it: that is of this process, as its spans and counters are."""
        if (refused := refusal(call, call.clock.now())) is not None:
            return refused
        left = enter(call)
        try:
            outcome = self._make(call)
        except Exception as error:  # noqa: BLE001  no process can be started: too many, no memory, no files
            self._let_go()
            outcome = Failed(f"its process could not be used: {type(error).__name__}: {error}")
        if isinstance(outcome, Failed):
            follows = say_attempt(call.run, call.job.retry, outcome.raised)
            log.warning("run %s of job %r failed: %s%s", call.run.id, call.run.job_id, outcome.reason, follows)
        leave(left, call, outcome)
        return outcome

    def _make(self, call: Call) -> Outcome:
        """Make the call in the process at hand, or in a new one if that dies before it has begun."""
        if self._child is not None and not self._child.lives():
            self._let_go()
        if self._child is not None and (outcome := self._make_in(self._child, call)) is not None:
            return outcome
        child = self._child = Child()
        if self._wait_ready(child, call) and (outcome := self._make_in(child, call)) is not None:
            return outcome
        self._let_go(patience=0)
        if self._ending is call:
            return Lost("its process was ended before it began")
        return Failed(f"{child.death()} before it could begin; what it wrote to stderr may say why")

    def _make_in(self, child: Child, call: Call) -> Outcome | None:
        """What became of it; None if the process has died before it began."""
        if (refused := refusal(call, call.clock.now())) is not None:  # its process took long to start
            return refused
        call.started_at = call.clock.now()
        with suppress(OSError):  # it has died this moment, which is seen below
            child.tell(_told(call))
        begun, kill_at = False, None
        while True:
            if kill_at is None and self._ending is call:
                child.ask_to_end()
                kill_at = time.monotonic() + GRACE
            is_over = kill_at is not None and time.monotonic() >= kill_at
            message = None if is_over else child.hear()
            if message is None:
                if child.lives() and not is_over:
                    continue
                self._let_go(patience=0 if is_over else GRACE)
                if kill_at is not None:
                    return Lost("its process was ended")
                return Failed(child.death()) if begun else None
            if "ask" in message:
                child.answer(call, message)
                continue
            if message.get("run") != call.run.id:
                continue  # a thread that the function of another run has left behind
            if "outcome" in message:
                outcome, asked = _outcome(call, message["outcome"]), message["asked"]
                if asked or kill_at is not None:
                    self._let_go()  # its function may have left anything behind
                return Lost("its process was ended") if asked and not isinstance(outcome, Succeeded) else outcome
            if "begun" in message:
                begun = True
            else:
                _note(call, message)

    def _wait_ready(self, child: Child, call: Call) -> bool:
        limit = time.monotonic() + READY_WITHIN
        while self._ending is not call and time.monotonic() < limit and child.lives():
            if (message := child.hear()) is not None and "ready" in message:
                return True
        return False

    def _let_go(self, patience: float = GRACE) -> None:
        """End the process, which may take so many seconds to do it by itself; the next call starts another."""
        if self._child is not None:
            self._child.end(patience)
        self._child = None


class Child:
    """A process, seen from the thread that has it."""

    def __init__(self) -> None:
        self._deaf = self._killed = False
        ours, theirs = Pipe()
        answers, self._answers = Pipe(duplex=False)  # closed with this object alone: a thread may be writing
        self._answering = threading.Lock()
        lifeline, self._lifeline = os.pipe()
        _children.add(self)
        try:
            # A session of its own: Ctrl-C is the parent's to hear, and what the jobs start can be ended with it.
            self._process = subprocess.Popen(  # noqa: S603
                [
                    get_executable(), "-P", "-c", SERVE,
                    str(theirs.fileno()), str(answers.fileno()), str(lifeline), *sys.path,
                ],
                pass_fds=(theirs.fileno(), answers.fileno(), lifeline), stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            self.cut_lifeline()
            raise
        finally:
            theirs.close()
            answers.close()
            os.close(lifeline)
        self._talk = ours

    def lives(self) -> bool:
        return not self._deaf and self._process.poll() is None

    def tell(self, what: Mapping[str, Any]) -> None:
        self._talk.send_bytes(json.dumps(what).encode())

    def answer(self, call: Call, asked: Mapping[str, Any]) -> None:
        """Read or save the state of the call's job for it; on a thread, as the store may take its time, and so may who
        asked, and the call must be endable meanwhile.
        """

        def answer() -> None:
            told = json.dumps({"to": asked["ask"], **_state_for(call, asked)}).encode()
            # One that was cut off by its end may ask again before the first answer is written, and a long one is
            # written in pieces.
            with self._answering, suppress(OSError):  # it has died
                self._answers.send_bytes(told)

        threading.Thread(target=answer, name="tickwork-answer", daemon=True).start()

    def hear(self) -> Mapping[str, Any] | None:
        """What it says, waiting a moment for it. None: nothing."""
        try:
            if not self._talk.poll(LOOK):
                return None
            heard: Mapping[str, Any] = json.loads(self._talk.recv_bytes(MAX_MESSAGE_LENGTH))
        except (EOFError, OSError, ValueError):  # it has died, in the middle of a word perhaps
            self._deaf = True
            return None
        return heard

    def ask_to_end(self) -> None:
        self._process.terminate()

    def end(self, patience: float) -> None:
        """See it end by itself for so many seconds, then kill it; and what its jobs have started, in any case."""
        self._talk.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._killed = True
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.cut_lifeline()

    def cut_lifeline(self) -> None:
        _children.discard(self)
        os.close(self._lifeline)

    def death(self) -> str:
        """How it has ended, after `end`."""
        code = self._process.returncode
        if self._killed:
            return "its process fell silent and was killed"
        if code >= 0:
            return f"its process ended with exit code {code}"
        names = {int(one): f" ({one.name})" for one in signal.Signals}
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"its process ended with signal {-code}{names.get(-code, '')}{hint}"


def _told(call: Call) -> Mapping[str, Any]:
    """The call as its process is told."""
    return {
        "run": call.run.id, "func": call.job.func, "args": [*call.args], "kwargs": dict(call.kwargs),
        "job_id": call.job.id, "job_uid": call.job.uid, "fire_time": to_micros(call.run.fire_time),
        "attempt": call.run.attempt, "origin": call.run.origin, "log_level": call.surroundings.log_level,
    }  # fmt: skip


def _note(call: Call, message: Mapping[str, Any]) -> None:
    """Keep what the function has logged, or how far it says that it has come."""
    if "log" in message:
        kept_of(call).log_of(call.clock).keep(*message["log"])
    else:
        call.progress = Progress(*message["progress"])
        call.progressed(call)


def _state_for(call: Call, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the call's job as it is, or as it is after the change that is *asked* for; or what that raises."""
    try:
        if asked["run"] != call.run.id:  # a thread that the function of another run has left behind
            raise RunClosedError("state: expected a run that goes on, got one that has ended")
        records, change = call.records, asked["change"]
        if change is None:
            stored = records.state(call.run.job_uid)
        else:
            stored = save_state(records, StateChange(call.run.job_uid, **change), call.run)
    except Exception as error:  # noqa: BLE001  it is raised where the function is, which waits for an answer
        return {"raise": [type(error).__name__, str(error)]}
    return {"version": stored.version, "entries": write_state(stored)}


def _outcome(call: Call, told: Mapping[str, Any]) -> Outcome:
    if told["progress"] is not None:
        call.progress = Progress(*told["progress"])
    if told["state"] is not None:
        kept_of(call).change = StateChange(call.run.job_uid, **told["state"])
    if "raised" in told:
        return Failed(told["reason"], told["error"], tuple(told["raised"]))
    return Succeeded(told["result"], told["reason"])


def _pop(calls: deque[Call]) -> Call | None:
    try:
        return calls.popleft()
    except IndexError:
        return None


_children: WeakSet[Child] = WeakSet()


def _cut_in_fork() -> None:
    """A fork of this process would go on to hold what tells the children whether this one lives."""
    for child in [*_children]:
        child.cut_lifeline()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cut_in_fork)
