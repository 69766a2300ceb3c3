"""Every error tickwork raises on purpose.

TickworkError
├── TriggerError (ValueError)             a trigger that cannot be, or that will never fire
├── JobError
│   ├── InvalidJobError (ValueError)      an option, an argument or a time that a job cannot have
│   ├── FunctionReferenceError (ValueError)   a function that cannot be named, or a name without one
│   ├── DependencyError                   what a run depends on cannot be had, or not be cleaned up
│   ├── JobExistsError (ValueError)       an id that is taken
│   └── JobNotFoundError (LookupError)    an id that nothing has
├── RunNotFoundError (LookupError)
├── BackfillNotFoundError (LookupError)
├── BackfillEndedError                    a backfill that has ended, and was to be changed
├── RunClosedError                        a run that has ended, and was to be changed
├── RetryRefusedError                     a run that cannot be tried again as it stands
├── RunCancelledError                     raised inside a run that was asked to end
├── RunLostError                          raised inside a run that was taken over
├── StateConflictError                    raised inside a run whose state somebody else has changed
├── SessionError
│   ├── InvalidSessionError (ValueError)  a value, a key, a user or a limit that a session cannot have
│   ├── SessionNotFoundError (LookupError)    a session that has ended, or never was
│   └── SessionFullError                  a session that has no room for one more
├── SchedulerError
│   ├── SchedulerAlreadyRunningError
│   ├── SchedulerNotRunningError
│   └── ForkedSchedulerError              a scheduler used in a forked child of its process
└── StoreError
    ├── StoreURLError (ValueError)        an address that names no store
    ├── StoreUnusableError                a place where a store cannot keep its promises
    ├── StoreSchemaError                  tables of another version
    ├── StoreMovedError                   a store whose jobs are elsewhere, or still on their way to it
    ├── MoveRefusedError                  two stores between which nothing can be moved as they stand
    ├── StoreUnavailableError             a fault that may pass: locked, full, unreachable
    └── ConflictError                     a change that lost against others, again and again

One grammar for their texts: what was expected, what was got, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TickworkError(Exception):
    """The root of all errors that tickwork raises on purpose."""


class TriggerError(TickworkError, ValueError):
    """A trigger cannot be made from these options, or would never fire."""

    expression: str | None = None
    """What was to be read, where one of its characters is to blame."""
    position: int | None = None
    """The character of `expression` to blame, from 0: where a caret would stand."""


class JobError(TickworkError):
    """Something is wrong with a job, or with the id or function that names it."""


class InvalidJobError(JobError, ValueError):
    """A job was given an option, an argument or a time that it cannot have."""


class FunctionReferenceError(JobError, ValueError):
    """A function cannot be written as `module:qualname`, or nothing stands under that name."""


class DependencyError(JobError):
    """Something that a run depends on cannot be had in this process, or does not clean up after itself."""


class JobExistsError(JobError, ValueError):
    """A job with this id exists already."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"expected a new job id, got {job_id!r}, which exists: give another id=, or pass replace_existing=True"
        )
        self.job_id = job_id


class JobNotFoundError(JobError, LookupError):
    """No job has this id."""

    def __init__(self, job_id: str, known: Iterable[str] = ()) -> None:
        super().__init__(f"expected the id of a job, got {job_id!r}{did_you_mean(job_id, known)}")
        self.job_id = job_id


class RunNotFoundError(TickworkError, LookupError):
    """No run has this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"expected the id of a run, got {run_id!r}: it never was, or it has been pruned")
        self.run_id = run_id


class BackfillNotFoundError(TickworkError, LookupError):
    """No backfill has this id."""

    def __init__(self, backfill_id: str) -> None:
        super().__init__(f"expected the id of a backfill, got {backfill_id!r}: it never was, or it has been pruned")
        self.backfill_id = backfill_id


class BackfillEndedError(TickworkError):
    """A backfill has ended, and what has ended stays as it is."""


class RunClosedError(TickworkError):
    """A run has ended, and what has ended stays as it is."""


class RetryRefusedError(TickworkError):
    """A run cannot be tried again: it has not ended, or another attempt or row is the one to ask for."""


class RunCancelledError(TickworkError):
    """The run that raised this was asked to end: someone cancelled it, or it has timed out."""


class RunLostError(TickworkError):
    """The run that raised this is its node's no more: its lease ended, and it was taken over."""


class StateConflictError(TickworkError):
    """Somebody else has changed the same keys of a job's state since this run read them."""


class SessionError(TickworkError):
    """Something is wrong with a session, or with what was to be kept in it."""


class InvalidSessionError(SessionError, ValueError):
    """A session was given a value, a key, a user or a limit that it cannot have."""


class SessionNotFoundError(SessionError, LookupError):
    """This session has ended (expired, destroyed, rotated), or never was."""

    def __init__(self) -> None:
        super().__init__("expected a session that goes on, got one that has ended: begin a new one")


class SessionFullError(SessionError):
    """A session has no room for one more: what could be trimmed is not enough."""


class SchedulerError(TickworkError):
    """A scheduler was used in a state in which it cannot do what was asked."""


class SchedulerAlreadyRunningError(SchedulerError):
    """The scheduler runs already."""


class SchedulerNotRunningError(SchedulerError):
    """The scheduler does not run."""


class ForkedSchedulerError(SchedulerError):
    """The scheduler was started in another process, of which this one is a forked child."""


class StoreError(TickworkError):
    """Something is wrong with a store."""


class StoreURLError(StoreError, ValueError):
    """This address names no store."""


class StoreUnusableError(StoreError):
    """A store cannot keep its promises in this place (a network file system, a read-only file)."""


class StoreSchemaError(StoreError):
    """The store was written by a version of tickwork that this one does not understand."""


class StoreMovedError(StoreError):
    """The jobs of this store have moved to another, or are still on their way here; the text says where and when."""


class MoveRefusedError(StoreError):
    """Nothing can be moved between these two stores as they stand; the text says why, and what to do."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached or written just now; the same call may succeed later."""


class ConflictError(StoreError):
    """A change lost against other writers so often that it was given up."""


LONGEST_NAME = 200
"""What is longer was not meant as a name, and is compared with none."""
CLOSE = 0.65
"""How like a name must be, of 1: 'every' is not near 'retry' (0.6)."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The tail of an error's sentence: the nearest known name, or all of them if they are few."""
    names = sorted(map(str, known))
    near: list[str] = []
    if isinstance(name, str) and len(name) <= LONGEST_NAME:
        near = get_close_matches(name, names, n=1, cutoff=CLOSE)
    if near:
        return f" (did you mean {near[0]!r}?)"
    if 0 < len(names) <= 20:
        return f" (there are: {', '.join(map(repr, names))})"
    return ""
