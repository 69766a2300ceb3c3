"""Jobs from what a user writes: every option is read and checked here, before anything is stored.

The rule: nothing here reads or writes a store.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from tickwork import plan
from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.durations import read_duration
from tickwork.errors import InvalidJobError, TriggerError, did_you_mean
from tickwork.executors.base import Executor
from tickwork.executors.call import is_async, is_generator, keep_arguments
from tickwork.job import NO_ARGUMENTS, NO_METADATA, SHORTEST, Job, check_job
from tickwork.labels import sorted_metadata, sorted_tags
from tickwork.policies import ONCE, Overlap
from tickwork.refs import Function, find_function, name_function
from tickwork.triggers import OPTIONS, DateTrigger, Trigger, make_trigger
from tickwork.triggers.base import innermost, zone_of
from tickwork.triggers.instants import on_this_day, read_instant

MILLISECONDS_BEFORE_2020 = 1_577_836_800_000
JOB_DEFAULTS = (
    "coalesce", "catch_up", "misfire_grace_time", "max_instances", "overlap", "max_waiting", "timeout", "retry",
    "pause_after", "expect_every", "expire_after", "executor",
)  # fmt: skip
"""The policies that a scheduler may set for all jobs that choose none."""
JOB_OPTIONS = frozenset({
    *JOB_DEFAULTS, "args", "kwargs", "id", "name", "tags", "metadata", "keep", "next_run_time",
})  # fmt: skip
"""The options of `Scheduler.add_job` that are not those of its trigger."""
TRIGGER_OPTIONS = frozenset(name for options in OPTIONS.values() for name in options)


class Unset:
    """The absence of an option, where None means something."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


class Definitions:
    """The making of jobs for one scheduler, with its executors, its zone and its defaults."""

    def __init__(
        self, clock: Clock, executors: Mapping[str, Executor], *, timezone: str | None, defaults: Mapping[str, Any]
    ) -> None:  # fmt: skip
        self._clock = clock
        self._executors = executors
        self._timezone = timezone
        self._check_defaults(defaults)
        self.defaults = {**defaults}

    def make(
        self, func: Function | str, trigger: Trigger | str | None, *,
        args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, id: str | None = None,
        name: str | None = None, next_run_time: datetime | str | Unset | None = UNSET,
        tags: Collection[str] = (), metadata: Mapping[str, str] | None = None,
        trigger_args: Mapping[str, Any], at_once: bool, **policies: Any,
    ) -> Job:  # fmt: skip
        """A job with the options of `Scheduler.add_job`; *at_once*: whether it is stored now, and not declared."""
        ref, function = _named(func)
        ref = sys.intern(ref)  # many jobs may share it
        if trigger is None and trigger_args:
            raise InvalidJobError(
                "trigger: expected its word, such as 'interval' or 'cron', before its options, "
                f"got only {sorted(trigger_args)}"
            )
        self._check_options(trigger_args)
        chosen = make_trigger(DateTrigger() if trigger is None else trigger, trigger_args, timezone=self._timezone)
        kept_args, kept_kwargs = keep_arguments(function, args, {} if kwargs is None else kwargs)
        now = self._clock.now()
        settings = {**self.defaults, **{key: value for key, value in policies.items() if value is not UNSET}}
        if settings.get("executor") is None:
            settings["executor"] = _usual_executor(function)
        made_up = id is None and at_once and isinstance(innermost(chosen), DateTrigger)
        job_id = secrets.token_hex(8) if made_up else ref if id is None else id
        anchored = chosen.anchored(now, job_id)
        if at_once:
            plan.check_fires(anchored, now)
        policies_read = self._read_policies(settings)
        plan.check_expected(anchored, policies_read.get("expect_every"), now)
        anchored_at, first = now, plan.first_fire_time(anchored, now)
        if not isinstance(next_run_time, Unset) and next_run_time is not None:
            anchored_at = first = self.read_time("next_run_time", next_run_time, chosen)
        return check_job(Job(
            id=job_id,
            func=ref, trigger=chosen, args=kept_args, kwargs=kept_kwargs or NO_ARGUMENTS,
            name=name if name is not None else sys.intern(ref.rpartition(":")[2]),
            uid=_uids.new(), anchored_at=anchored_at, next_fire_time=first,
            paused_at=now if next_run_time is None else None,
            pause_reason="added with next_run_time=None" if next_run_time is None else None, disposable=made_up,
            tags=() if isinstance(tags, tuple) and not tags else sorted_tags(tags),
            metadata=NO_METADATA if metadata is None else sorted_metadata(metadata),
            **policies_read,
        ))  # fmt: skip

    def changed(self, job: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes to *job* as it keeps them, checked like a new job's."""
        if given := sorted(changes.keys() & TRIGGER_OPTIONS):
            raise InvalidJobError(
                f"modify_job: expected options of the job, got {given[0]!r}, one of its trigger's: use reschedule_job"
            )
        read = dict(changes)
        for name in changes.keys() & {"next_run_time", "next_fire_time"}:
            if changes[name] is None:
                raise InvalidJobError(f"{name}: expected a time, got None: pause_job pauses a job")
            read["next_fire_time"] = self.read_time(name, read.pop(name), read.get("trigger", job.trigger))
        function = None
        if "func" in read:
            read["func"], function = _named(read["func"])
        if read.keys() & {"func", "args", "kwargs"}:
            func = function or find_function(job.func)
            args, kwargs = keep_arguments(func, read.get("args", job.args), read.get("kwargs", job.kwargs))
            read |= {name: value for name, value in (("args", args), ("kwargs", kwargs)) if name in read}
        if "tags" in read:
            read["tags"] = sorted_tags(read["tags"])
        if "metadata" in read:
            read["metadata"] = sorted_metadata(read["metadata"])
        if isinstance(read.get("trigger"), str):
            raise InvalidJobError(
                "trigger: expected a trigger, got a word: use reschedule_job, which takes its options"
            )
        if "trigger" in read:
            read["trigger"] = make_trigger(read["trigger"])
        if "executor" in read and read["executor"] is None:
            read["executor"] = _usual_executor(function or find_function(job.func))
        return read | self._read_policies({name: read[name] for name in JOB_DEFAULTS if name in read})

    def zone_for(self, trigger: Trigger | None) -> str | None:
        """In which zone times are read and said, by the rule of docs/times.md; *trigger* is that of the job."""
        return (None if trigger is None else zone_of(trigger)) or self._timezone

    def read_time(self, name: str, time: object, trigger: Trigger | None) -> datetime:
        """A user's time as an instant; *trigger* is that of the job it is about."""
        zone = self.zone_for(trigger)
        try:
            dated = on_this_day(time, self._clock.now(), zone) if isinstance(time, str) else time
            return read_instant(dated, name, zone)  # type: ignore[arg-type]  # it checks what it is given
        except TriggerError as error:
            raise InvalidJobError(str(error)) from None

    def _check_options(self, trigger_args: Mapping[str, Any]) -> None:
        """InvalidJobError for an option of the trigger that was meant as one of the job."""
        for name in trigger_args:
            if name in TRIGGER_OPTIONS:
                continue
            meant = did_you_mean(name, JOB_OPTIONS)
            if meant.startswith(" (did"):
                raise InvalidJobError(f"add_job: expected an option of the job or of its trigger, got {name!r}{meant}")

    def _read_policies(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The policies as a job keeps them, from what a user may write."""
        read = dict(settings)
        executor = read.get("executor", "threads")
        if not isinstance(executor, str) or executor not in self._executors:
            known = did_you_mean(executor, self._executors)
            raise InvalidJobError(f"executor: expected one of this scheduler's, got {shown(executor)}{known}")
        for name, least in SHORTEST.items():
            if read.get(name) is not None:
                read[name] = read_duration(name, read[name], least=least)
        if isinstance(read.get("overlap"), str) and read["overlap"] in [*Overlap]:
            read["overlap"] = Overlap(read["overlap"])
        if "retry" in read and read["retry"] is None:
            read["retry"] = ONCE
        return read

    def _check_defaults(self, defaults: Mapping[str, Any]) -> None:
        for name in defaults:
            if name not in JOB_DEFAULTS:
                raise InvalidJobError(
                    f"job_defaults: expected {', '.join(JOB_DEFAULTS)}, got {name!r}{did_you_mean(name, JOB_DEFAULTS)}"
                )
        now = self._clock.now()
        probe = Job("probe", "probe:probe", DateTrigger(), anchored_at=now, next_fire_time=None, name="probe")
        check_job(probe._replace(**self._read_policies({"executor": "threads", **_given(defaults)})))


def split_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword options of `add_job`, with those of the trigger apart."""
    own = {name: value for name, value in options.items() if name in JOB_OPTIONS}
    return {**own, "trigger_args": {name: value for name, value in options.items() if name not in own}}


def _named(func: Function | str) -> tuple[str, Function]:
    """A function and its name, from either."""
    if isinstance(func, str):
        ref, function = func, find_function(func)
    elif callable(func):
        ref, function = name_function(func), func
    else:
        raise InvalidJobError(
            f"func: expected a function or 'module:qualname', got {func!r}: pass it without calling it"
        )
    if is_generator(function):
        raise InvalidJobError(
            f"func: expected a function that does its work when it is called, got the generator function {ref!r}: "
            "return instead of yield, or loop over it in another function"
        )
    return ref, function


def _usual_executor(func: Function) -> str:
    return "asyncio" if is_async(func) else "threads"


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


class _Uids:
    """Numbers that no other job has, on any machine: milliseconds since 2020, and 22 bits, random at first.

    Of 63 bits, and rising with time, so that a store keeps together what was added together.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._last = 0

    def new(self) -> int:
        now = time.time_ns() // 1_000_000 - MILLISECONDS_BEFORE_2020
        with self._lock:
            in_the_same_millisecond = self._last >> 22 == now
            self._last = self._last + 1 if in_the_same_millisecond else (now << 22) + secrets.randbits(21)
            return self._last


_uids = _Uids()
