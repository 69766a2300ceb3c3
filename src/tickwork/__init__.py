"""Jobs on a schedule, once each, with any number of workers; and a ledger that says what became of them.

from tickwork import AsyncIOScheduler

scheduler = AsyncIOScheduler("sqlite:///jobs.db")


@scheduler.scheduled_job("interval", minutes=10)
async def refresh() -> None: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tickwork.backfill import Backfill
from tickwork.errors import (
    BackfillEndedError,
    BackfillNotFoundError,
    ConflictError,
    DependencyError,
    ForkedSchedulerError,
    FunctionReferenceError,
    InvalidJobError,
    InvalidSessionError,
    JobError,
    JobExistsError,
    JobNotFoundError,
    MoveRefusedError,
    RetryRefusedError,
    RunCancelledError,
    RunClosedError,
    RunLostError,
    RunNotFoundError,
    SchedulerAlreadyRunningError,
    SchedulerError,
    SchedulerNotRunningError,
    SessionError,
    SessionFullError,
    SessionNotFoundError,
    StateConflictError,
    StoreError,
    StoreMovedError,
    StoreSchemaError,
    StoreUnavailableError,
    StoreUnusableError,
    StoreURLError,
    TickworkError,
    TriggerError,
)
from tickwork.executors.call import RunContext, current_run
from tickwork.job import Job
from tickwork.mover import abort_move, move
from tickwork.node import Node, NodeState
from tickwork.policies import Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import Progress, Run, RunState
from tickwork.runlog import LogLine, RunLog
from tickwork.scheduler import BackgroundScheduler, BlockingScheduler
from tickwork.triggers import AllOf, AnyOf, CalendarIntervalTrigger, CronTrigger, DateTrigger, IntervalTrigger, Trigger
from tickwork.version import __version__ as __version__
from tickwork.why import Answer, Verdict

if TYPE_CHECKING:
    from tickwork.asyncio import AsyncIOScheduler
    from tickwork.executors.processes import ProcessExecutor

__all__ = [
    "AllOf",
    "Answer",
    "AnyOf",
    "AsyncIOScheduler",
    "Backfill",
    "BackfillEndedError",
    "BackfillNotFoundError",
    "BackgroundScheduler",
    "BlockingScheduler",
    "CalendarIntervalTrigger",
    "ConflictError",
    "CronTrigger",
    "DateTrigger",
    "DependencyError",
    "ForkedSchedulerError",
    "FunctionReferenceError",
    "IntervalTrigger",
    "InvalidJobError",
    "InvalidSessionError",
    "Job",
    "JobError",
    "JobExistsError",
    "JobNotFoundError",
    "LogLine",
    "MoveRefusedError",
    "Node",
    "NodeState",
    "Overlap",
    "ProcessExecutor",
    "Progress",
    "Retention",
    "Retry",
    "RetryRefusedError",
    "Run",
    "RunCancelledError",
    "RunClosedError",
    "RunContext",
    "RunLog",
    "RunLostError",
    "RunNotFoundError",
    "RunState",
    "SchedulerAlreadyRunningError",
    "SchedulerError",
    "SchedulerNotRunningError",
    "SessionError",
    "SessionFullError",
    "SessionNotFoundError",
    "StateConflictError",
    "StoreError",
    "StoreMovedError",
    "StoreSchemaError",
    "StoreURLError",
    "StoreUnavailableError",
    "StoreUnusableError",
    "TickworkError",
    "Trigger",
    "TriggerError",
    "Verdict",
    "abort_move",
    "current_run",
    "move",
]


def __getattr__(name: str) -> Any:
    """What not everybody needs is imported when it is asked for: asyncio alone costs more than all the rest."""
    if name == "AsyncIOScheduler":
        from tickwork.asyncio import AsyncIOScheduler  # noqa: PLC0415

        return AsyncIOScheduler
    if name == "ProcessExecutor":
        from tickwork.executors.processes import ProcessExecutor  # noqa: PLC0415

        return ProcessExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
