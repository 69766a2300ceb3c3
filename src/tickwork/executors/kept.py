"""What is kept of a call besides its outcome."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tickwork.clock import Clock
from tickwork.executors.capture import LogBuffer
from tickwork.executors.records import Records
from tickwork.executors.state import JobState
from tickwork.expectation import Expectation
from tickwork.jobstate import StateChange
from tickwork.run import Run
from tickwork.runlog import RunLog


class Kept:
    """What a function did inside of its run that is to be kept with it; made when it first does so."""

    __slots__ = ("_lock", "change", "doubtful", "joined", "log", "recovered", "settled", "settling", "state")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.log: LogBuffer | None = None
        """None: it has logged nothing."""
        self.state: JobState | None = None
        """None: it has not asked for it."""
        self.change: StateChange | None = None
        """What it has made of the state when it returned. None: it changed nothing."""
        self.settling: Run | None = None
        """The run as its own transaction settles it: others may see it so from now on, or never."""
        self.settled: Run | None = None
        """The same once it is committed."""
        self.doubtful: Run | None = None
        """The same if the commit failed, or only its reply: the store knows."""
        self.joined: Run | None = None
        """The same as a transaction of the user's own settles it: whether that is committed the store knows, too."""
        self.recovered: Sequence[Expectation] = ()
        """What was overdue until then."""

    def state_of(self, records: Records, run: Run) -> JobState:
        if self.state is None:
            with self._lock:
                self.state = self.state or JobState(records, run.job_uid, run)
        return self.state

    def has_settled_as(self, run: Run) -> bool:
        """Whether a transaction of the function's has, perhaps, settled its run so."""
        return run in (self.settling, self.settled, self.doubtful, self.joined)

    def log_so_far(self) -> RunLog | None:
        return None if self.log is None else self.log.so_far()

    def log_of(self, clock: Clock) -> LogBuffer:
        if self.log is None:
            with self._lock:
                self.log = self.log or LogBuffer(clock)
        return self.log
