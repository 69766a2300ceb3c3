"""The policies of a job that are values of their own: how it is retried, and what happens when it overlaps itself.

The rule: a policy is plain data. Whatever it decides is a pure function of what it is given.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Any, TypeAlias

from tickwork.checks import check_fraction, check_whole, shown
from tickwork.durations import NO_TIME, Duration, read_duration
from tickwork.errors import InvalidJobError, did_you_mean
from tickwork.refs import importable_name

MAX_ATTEMPTS = 1_000
MAX_BACKOFF = 100.0
MAX_EXCEPTIONS = 50
A_DAY = timedelta(days=1)

Exceptions: TypeAlias = Collection[type[BaseException] | str] | type[BaseException] | str
"""Classes of exceptions, or their names: `ConnectionError`, `app.errors:Busy`."""


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """How often, and how soon, a run that failed, timed out or was lost is tried again.

    With one attempt, the default, a job runs at most once for each fire time. With more, it runs at
    least once: a run whose process died may have done its work before.

    The next attempt waits for *delay*, the one after it for *delay* times *backoff*, and so on up to *max_delay*.
    With *jitter* it waits for up to that share of it longer or shorter; how much depends on the run alone. Durations
    are seconds, timedeltas or texts ("10m"). The next attempt waits in the store: it survives restarts, and any node
    may take it.

    With *on*, only failures by these exceptions (and their subclasses) are tried again; those in *give_up_on* never
    are. A run that timed out counts as a TimeoutError. A run that was lost is always tried again.
    """

    max_attempts: int
    """All attempts counted, the first one included."""
    delay: timedelta
    backoff: float
    max_delay: timedelta
    jitter: float
    on: tuple[str, ...]
    """The names of exceptions. Empty: all of them."""
    give_up_on: tuple[str, ...]

    def __init__(
        self,
        max_attempts: int = 1,
        delay: Duration = NO_TIME,
        backoff: float = 1.0,
        max_delay: Duration = A_DAY,
        jitter: float = 0.0,
        on: Exceptions = (),
        give_up_on: Exceptions = (),
    ) -> None:
        check_whole("Retry max_attempts", max_attempts, most=MAX_ATTEMPTS)
        check_fraction("Retry backoff", backoff, least=1, most=MAX_BACKOFF)
        check_fraction("Retry jitter", jitter, least=0, most=1)
        keep = object.__setattr__
        keep(self, "max_attempts", max_attempts)
        keep(self, "delay", read_duration("Retry delay", delay))
        keep(self, "backoff", float(backoff))
        keep(self, "max_delay", read_duration("Retry max_delay", max_delay))
        keep(self, "jitter", float(jitter))
        keep(self, "on", _names("Retry on", on))
        keep(self, "give_up_on", _names("Retry give_up_on", give_up_on))

    def allows(self, attempt: int, raised: Collection[str] | None) -> bool:
        """Whether another attempt follows this one, which raised an exception of these names. None: it was lost."""
        if attempt >= self.max_attempts:
            return False
        if raised is None:
            return True
        wanted = not self.on or any(name in raised for name in self.on)
        return wanted and not any(name in raised for name in self.give_up_on)

    def wait_after(self, attempt: int, key: str) -> timedelta:
        """How long the next attempt waits after this one ended; *key* is that of the run."""
        try:
            wait = min(self.delay * self.backoff ** (attempt - 1), self.max_delay)
        except OverflowError:
            wait = self.max_delay
        return wait * (1 + self.jitter * (2 * _scatter(f"{key}-{attempt}") - 1)) if self.jitter else wait


class Overlap(StrEnum):
    """What becomes of a fire time while `max_instances` of the job's runs are active."""

    SKIP = "skip"
    """It is skipped, and the ledger says which run was in its way."""
    QUEUE = "queue"
    """Its run waits for one of them to end, up to `max_waiting` at once; further fire times are skipped."""
    CANCEL = "cancel"
    """The oldest of them makes way: it is cancelled if it waits, and asked to end if it runs; then this one begins."""


def exception_names(error: BaseException) -> tuple[str, ...]:
    """The names of an exception's class and of those it is derived from, as `Retry` knows them."""
    return tuple(_name(one) for one in type(error).__mro__ if one is not object)


def _names(option: str, given: Any) -> tuple[str, ...]:
    several = given if isinstance(given, list | tuple | set | frozenset) else (given,)
    if len(several) > MAX_EXCEPTIONS:
        raise InvalidJobError(f"{option}: expected at most {MAX_EXCEPTIONS} exceptions, got {len(several)}")
    names = []
    for one in several:
        if isinstance(one, type) and issubclass(one, BaseException):
            names.append(_name(one))
        elif isinstance(one, str) and one.isprintable() and 0 < len(one) <= 200:
            names.append(_known(option, one))
        else:
            raise InvalidJobError(
                f"{option}: expected exception classes or their names, got {shown(one)}: write (ConnectionError,)"
            )
    return tuple(names)


def _known(option: str, name: str) -> str:
    """*name* itself, if it can be the name of an exception: one of Python's own, or `module:qualname`."""
    own = getattr(builtins, name, None)
    if ":" not in name and not (isinstance(own, type) and issubclass(own, BaseException)):
        known = [each for each in vars(builtins) if each.endswith("Error")]
        hint = did_you_mean(name, known)
        raise InvalidJobError(
            f"{option}: expected one of Python's own exceptions or 'module:qualname', got {name!r}{hint}"
        )
    return name


def _name(exception: type) -> str:
    module, name = exception.__module__, exception.__qualname__
    return name if module == "builtins" else f"{importable_name(module)}:{name}"


def _scatter(text: str) -> float:
    """A number from 0 to 1 that is the same for the same text, in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64


ONCE = Retry()
RETRY_FIELDS = tuple(one.name for one in fields(Retry))
