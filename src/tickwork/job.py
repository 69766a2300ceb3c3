"""A job: what runs and when, and the policies that its user chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tickwork.checks import check_duration, check_flag, check_text, check_whole, shown
from tickwork.errors import InvalidJobError, did_you_mean
from tickwork.labels import sorted_metadata, sorted_tags
from tickwork.policies import ONCE, Overlap, Retry
from tickwork.retention import Retention
from tickwork.triggers import Trigger

MAX_ID_LENGTH = 200
MAX_INSTANCES = 10_000
MAX_WAITING = 1_000
MAX_CATCH_UP = 1_000
MAX_FAILURES = 100
MAX_COUNTED = 10_000
"""How many rows of the ledger are read, at most, to see whether a job fails too often."""
SHORTEST = {
    "misfire_grace_time": timedelta(microseconds=1),
    "timeout": timedelta(milliseconds=1),
    "expire_after": timedelta(milliseconds=1),
    "expect_every": timedelta(seconds=1),
}
"""The policies that are durations, and the least that each may be."""

NO_ARGUMENTS: Mapping[str, Any] = {}
NO_METADATA: Mapping[str, str] = {}


class Job(NamedTuple):
    """A function reference with a trigger, arguments and policies, and where its schedule stands."""

    id: str
    """The name its user gave it."""
    func: str
    """`module:qualname` of the function."""
    trigger: Trigger
    anchored_at: datetime
    """When its trigger was set: the start of a trigger that names none."""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = NO_ARGUMENTS
    name: str = ""
    """For people; the function's own name unless given."""
    executor: str = "threads"
    """The executor that calls the function."""
    coalesce: bool = True
    """Whether fire times missed together become one run, for the latest of them."""
    catch_up: int | None = None
    """How many of the fire times missed together are run: the latest so many, or none. None: as `coalesce` says."""
    misfire_grace_time: timedelta | None = None
    """How late a fire time may be fired; one that is later is recorded as missed. None: any."""
    max_instances: int = 1
    """How many of its runs may be active at once, on all nodes together."""
    overlap: Overlap = Overlap.SKIP
    """What becomes of a fire time while so many are active."""
    max_waiting: int = 1
    """How many fire times may wait then, with Overlap.QUEUE."""
    timeout: timedelta | None = None
    """How long a call may take. None: as long as it likes."""
    retry: Retry = ONCE
    pause_after: int | None = None
    """After how many failures in a row the job is paused. None: it goes on."""
    expect_every: timedelta | None = None
    """How long it may go on without a success, before it is overdue. None: as long as it likes."""
    expire_after: timedelta | None = None
    """How long a run may wait to begin; one that waits longer is closed as missed. None: as long as it takes."""
    tags: tuple[str, ...] = ()
    """What it is found by, among others; sorted."""
    metadata: Mapping[str, str] = NO_METADATA
    """What people note of it, and find it by: whose it is, where its code is."""
    keep: Retention | None = None
    """How long the ledger keeps its rows. None: as long as the scheduler says."""
    disposable: bool = False
    """Whether it is removed with its last row, once it has ended: its id was made up, so no code declares it again."""
    declared: str | None = None
    """The application that declares it in its code. None: it was added while a scheduler ran, and is never retired."""

    retired_at: datetime | None = None
    """Since when no running code declares it any more, and it does not fire. None: some does, or it never was."""

    uid: int = 0
    """New each time a job is added: an id that is removed and added again is another job."""
    revision: int = 1
    """Raised when the definition changes, and not when the job fires."""

    version: int = 1
    """Raised by every write of this job; a write that read an older one loses."""
    next_fire_time: datetime | None = None
    """The next instant it fires at, paused or not. None: its trigger has ended."""
    last_fire_time: datetime | None = None
    """The latest fire time that has its answer in the ledger. None: it has not fired yet."""
    paused_at: datetime | None = None
    """Since when it does not fire. None: it does."""
    pause_reason: str | None = None
    paused_by: str | None = None
    """Who paused it. None: nobody said."""

    def __hash__(self) -> int:
        return hash((self.uid, self.version))

    def standing_at(self, version: int, next_fire_time: datetime | None, last_fire_time: datetime | None) -> Job:
        """This job, not paused, where its schedule stands now. Every fire makes one: far cheaper than `_replace`."""
        return _new(Job, (*self[:_STANDING], version, next_fire_time, last_fire_time, None, None, None))

    @property
    def next_run_time(self) -> datetime | None:
        """APScheduler's word: the next fire time, or None while the job is paused."""
        return None if self.paused else self.next_fire_time

    @property
    def made_up(self) -> int | None:
        """How many of the fire times missed together are run: the latest so many. None: all of them."""
        return self.catch_up if self.catch_up is not None else 1 if self.coalesce else None

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    @property
    def ended(self) -> bool:
        """Whether it has no fire time left."""
        return self.next_fire_time is None


_new = tuple.__new__
_STANDING = Job._fields.index("version")

DEFINITION = (
    "func", "trigger", "args", "kwargs", "name", "executor",
    "coalesce", "catch_up", "misfire_grace_time", "max_instances", "overlap", "max_waiting", "timeout", "retry",
    "pause_after", "expect_every", "expire_after", "tags", "metadata", "keep", "disposable", "declared",
)  # fmt: skip
"""The fields that a declaration in code sets; the others tell where the schedule stands."""


def check_job_id(job_id: object) -> None:
    """InvalidJobError unless *job_id* is text; whether there is such a job, the store knows."""
    if not isinstance(job_id, str):
        raise InvalidJobError(f"job_id: expected the id of a job, got {shown(job_id)}: pass its id, as job.id")


def check_jobs(jobs: object) -> Sequence[Job]:
    """The jobs in *jobs*; InvalidJobError if anything else is. A single job is a row of fields, and holds none."""
    given: list[Any] = list(jobs) if isinstance(jobs, Iterable) else [jobs]
    for one in given:
        if not isinstance(one, Job):
            got = f"the job {jobs.id!r} alone" if isinstance(jobs, Job) else shown(one)
            raise InvalidJobError(f"jobs: expected a list of jobs that new_job made, got {got}: pass [new_job(...)]")
    return given


def check_job(job: Job) -> Job:
    """*job* itself, if each of its policies is possible; otherwise an InvalidJobError."""
    check_text("id", job.id, most=MAX_ID_LENGTH)
    if job.id in (".", ".."):
        raise InvalidJobError(f"id: expected a name that a URL can hold, got {job.id!r}, which browsers resolve away")
    check_text("name", job.name, most=MAX_ID_LENGTH)
    check_text("executor", job.executor, most=MAX_ID_LENGTH)
    check_flag("coalesce", job.coalesce)
    if job.catch_up is not None:
        check_whole("catch_up", job.catch_up, least=0, most=MAX_CATCH_UP)
    for name, least in SHORTEST.items():
        if (length := getattr(job, name)) is not None:
            check_duration(name, length, least=least)
    check_whole("max_instances", job.max_instances, most=MAX_INSTANCES)
    if not isinstance(job.overlap, Overlap):
        known = ", ".join(Overlap)
        raise InvalidJobError(
            f"overlap: expected {known}, got {shown(job.overlap)}{did_you_mean(job.overlap, Overlap)}"
        )
    check_whole("max_waiting", job.max_waiting, most=MAX_WAITING)
    if job.tags and job.tags != sorted_tags(job.tags):
        raise InvalidJobError(f"tags: expected a sorted tuple, got {job.tags!r}")
    if job.metadata:
        sorted_metadata(job.metadata)
    if job.pause_after is not None:
        check_whole("pause_after", job.pause_after, most=MAX_FAILURES)
        if isinstance(job.retry, Retry) and job.pause_after * job.retry.max_attempts > MAX_COUNTED:
            raise InvalidJobError(
                f"pause_after: expected at most {MAX_COUNTED} attempts in so many failures, got {job.pause_after} "
                f"failures of {job.retry.max_attempts} attempts each: lower one of them"
            )
    if not isinstance(job.retry, Retry):
        raise InvalidJobError(f"retry: expected a tickwork.Retry, got {shown(job.retry)}: write Retry(max_attempts=3)")
    if job.keep is not None and not isinstance(job.keep, Retention):
        raise InvalidJobError(
            f"keep: expected a tickwork.Retention or None, got {shown(job.keep)}: write Retention(count=9)"
        )
    return job
