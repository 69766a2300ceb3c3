"""Jobs as plain JSON, and what may be written as JSON at all.

Nothing is pickled. What an argument holds when the job is added is what the function gets, on every
store and in every process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from tickwork.checks import shown
from tickwork.clock import MICROSECOND, from_micros, to_micros
from tickwork.errors import InvalidJobError, TriggerError
from tickwork.job import DEFINITION, Job
from tickwork.jobstate import Entry, StoredState
from tickwork.policies import ONCE, RETRY_FIELDS, Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import Given, Progress
from tickwork.runlog import LogLine, RunLog
from tickwork.triggers import TRIGGERS, Trigger, trigger_from_json
from tickwork.triggers.base import parts

MAX_ARGUMENTS_LENGTH = 256 * 1024
MAX_RESULT_LENGTH = 16 * 1024
MAX_STATE_LENGTH = 64 * 1024
MAX_DEPTH = 50
"""How deep lists and dicts may lie in each other."""
MAX_BITS = 1024
"""How long a whole number may be."""

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def write_definition(job: Job) -> str:
    """The fields of *job* that its declaration sets, as JSON text.

    Raises InvalidJobError for a trigger that no process could read again.
    """
    _check_readable(job.trigger)
    return _write({**definition_of(job), "retired_at": write_instant(job.retired_at)})


def definition_of(job: Job) -> dict[str, Any]:
    """The fields of *job* that its declaration sets, as plain JSON; of whatever trigger."""
    grace = job.misfire_grace_time
    return {
        "func": job.func,
        "trigger": job.trigger.to_json(),
        "args": job.args,
        "kwargs": job.kwargs,
        "name": job.name,
        "executor": job.executor,
        "coalesce": job.coalesce,
        "catch_up": job.catch_up,
        "misfire_grace_time": write_duration(grace),
        "max_instances": job.max_instances,
        "overlap": job.overlap,
        "max_waiting": job.max_waiting,
        "timeout": write_duration(job.timeout),
        "retry": _write_retry(job.retry),
        "pause_after": job.pause_after,
        "expect_every": write_duration(job.expect_every),
        "expire_after": write_duration(job.expire_after),
        "tags": job.tags,
        "metadata": job.metadata,
        "keep": _retention_json(job.keep),
        "disposable": job.disposable,
        "declared": job.declared,
    }


def read_definition(text: str) -> dict[str, Any]:
    """The keyword arguments of Job that `write_definition` wrote.

    A trigger that only a newer version can read does not hide its job: it is an UnreadableTrigger.
    """
    written = json.loads(text)
    fields = {name: written[name] for name in DEFINITION if name in written}  # a newer version may write more
    fields["trigger"] = read_trigger(fields["trigger"])
    fields["args"] = tuple(fields["args"])
    fields["tags"] = tuple(fields.get("tags", ()))
    for name in ("misfire_grace_time", "timeout", "expect_every", "expire_after"):
        if fields.get(name) is not None:
            fields[name] = timedelta(microseconds=fields[name])
    fields["overlap"] = Overlap(fields.get("overlap", Overlap.SKIP))
    fields["retry"] = _read_retry(fields["retry"])
    fields["keep"] = _retention(fields.get("keep"))
    fields["retired_at"] = read_instant(written.get("retired_at"))
    return fields


def _write_retry(retry: Retry) -> dict[str, Any]:
    if retry is ONCE:
        return {}
    written = {name: getattr(retry, name) for name in RETRY_FIELDS}
    return {
        name: value // MICROSECOND if isinstance(value, timedelta) else value
        for name, value in written.items()
        if value != getattr(ONCE, name)
    }


def _read_retry(written: Mapping[str, Any]) -> Retry:
    """What `_write_retry` wrote; a newer version may have written more."""
    fields = {name: written[name] for name in RETRY_FIELDS if name in written}
    for name in ("delay", "max_delay"):
        if name in fields:
            fields[name] = timedelta(microseconds=fields[name])
    return Retry(**fields)


@dataclass(frozen=True, slots=True)
class UnreadableTrigger:
    """What stands in for a trigger of a newer version: it cannot say when, and is written back as it was."""

    kind: ClassVar[str] = "unreadable"

    written: Mapping[str, Any]
    why: str

    def next_after(self, instant: datetime) -> datetime | None:
        raise TriggerError(self.why)

    def anchored(self, at: datetime, seed: str = "") -> Self:
        return self

    def to_json(self) -> dict[str, Any]:
        return dict(self.written)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(value, "expected a trigger that this version of tickwork can read")

    def __str__(self) -> str:
        return f"unreadable for this version: {_write(self.written)}"


def read_trigger(written: Mapping[str, Any]) -> Trigger:
    """A trigger from its JSON; what only a newer version can read is an UnreadableTrigger."""
    try:
        return trigger_from_json(written)
    except (TriggerError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        return UnreadableTrigger(written, str(error))


def read_retention(text: str | None) -> Retention | None:
    """The `keep` of a definition, from its JSON text alone."""
    return _retention(read_json(text))


def _retention_json(keep: Retention | None) -> dict[str, int | None] | None:
    if keep is None:
        return None
    return {"age": write_duration(keep.age), "count": keep.count}


def _retention(written: Mapping[str, int | None] | None) -> Retention | None:
    if written is None:
        return None
    age = written["age"]
    return Retention(read_duration(age), written["count"])


def _check_readable(trigger: Trigger) -> None:
    for part in parts(trigger):
        _check_readable(part)
    if TRIGGERS.get(trigger.kind) is not type(trigger) and not isinstance(trigger, UnreadableTrigger):
        raise InvalidJobError(
            f"trigger: expected one that every process can read ({', '.join(TRIGGERS)}), got {trigger!r}: "
            f"a trigger of your own works on the memory store alone"
        )


def plain_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as every store will give them back; InvalidJobError if they are not plain JSON.

    Tuples become lists, as in JSON. The error names the place: `kwargs['when']`.
    """
    if not isinstance(args, list | tuple):
        raise InvalidJobError(f"args: expected a list or tuple, got {shown(args)}: write args=[...]")
    if not isinstance(kwargs, Mapping):
        raise InvalidJobError(f"kwargs: expected a dict, got {shown(kwargs)}: write kwargs={{'name': value}}")
    plain = _plain(args, "args"), _plain(dict(kwargs), "kwargs")
    for place, values in zip(("args", "kwargs"), plain, strict=True):
        if values and len(text := _write(values)) > MAX_ARGUMENTS_LENGTH:
            raise InvalidJobError(
                f"{place}: expected at most {MAX_ARGUMENTS_LENGTH} characters of JSON, got {len(text)}: "
                f"store the data elsewhere and pass its name"
            )
    return tuple(plain[0]), plain[1]


def plain_result(result: Any) -> Any:
    """What a run's row keeps of *result*: itself. InvalidJobError, without its value, unless it is small plain JSON."""
    if result is None or isinstance(result, bool):
        return result
    try:
        plain = _plain(result, "result")
        length = len(_write(plain))
    except InvalidJobError as error:
        expected = str(error).partition(", got ")[0]  # and not its value: more people see the reason than the result
        raise InvalidJobError(f"{expected}, got something else: keep it elsewhere, and return its name") from None
    except Exception as error:  # noqa: BLE001  a result may be anything, such as a dict that cannot be gone through
        raise InvalidJobError(f"result: expected plain JSON, got {type(error).__name__} where it is read") from None
    if length > MAX_RESULT_LENGTH:
        raise InvalidJobError(
            f"result: expected at most {MAX_RESULT_LENGTH} characters of JSON, got {length}: "
            f"keep it elsewhere, and return its name"
        )
    return plain


def state_value(key: str, value: Any) -> Any:
    """*value* as a job's state keeps it: a copy, of plain JSON. InvalidJobError if it is not."""
    return _plain(value, f"state[{key!r}]")


def to_text(value: Any) -> str:
    """Plain JSON, written."""
    return _write(value)


def copied(value: Any) -> Any:
    """A copy of plain JSON, so that what a function does to its arguments does not reach the next run."""
    match value:
        case list():
            return [copied(item) for item in value]
        case dict():
            return {key: copied(item) for key, item in value.items()}
        case _:
            return value


def write_json(value: Any) -> str | None:
    return None if value is None else _write(value)


def read_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def write_progress(progress: Progress | None) -> str | None:
    return None if progress is None else _write([progress.done, progress.total, progress.message])


def read_progress(text: str | None) -> Progress | None:
    return None if text is None else Progress(*json.loads(text))


def write_log(log: RunLog) -> str:
    beginning, end = (
        [[to_micros(line.at), line.level, line.logger, line.text] for line in lines]
        for lines in (log.beginning, log.end)
    )
    return _write({
        "beginning": beginning, "end": end, "left_out": log.left_out, "left_out_length": log.left_out_length,
    })  # fmt: skip


def read_log(text: str) -> RunLog:
    written = json.loads(text)
    beginning, end = (
        tuple(LogLine(from_micros(at), level, logger, line) for at, level, logger, line in written[part])
        for part in ("beginning", "end")
    )
    return RunLog(beginning, end, written["left_out"], written["left_out_length"])


def write_state(state: StoredState) -> str:
    return _write(state.entries)


def read_state(version: int, text: str) -> StoredState:
    return StoredState(version, {key: Entry(*entry) for key, entry in json.loads(text).items()})


def write_given(given: Given | None) -> str | None:
    return None if given is None else _write([given.args, given.kwargs])


def read_given(text: str | None) -> Given | None:
    if text is None:
        return None
    args, kwargs = json.loads(text)
    return Given(tuple(args), kwargs)


def write_instant(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)


def read_instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def write_duration(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // MICROSECOND


def read_duration(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)


def _plain(value: Any, place: str, depth: int = 0) -> Any:
    """A copy of *value* made of dicts, lists, strings, numbers, booleans and None alone."""
    if depth > MAX_DEPTH:
        raise InvalidJobError(f"{place[:60]}...: expected at most {MAX_DEPTH} levels of lists and dicts, got more")
    match value:
        case None | bool():
            return value
        case str():
            return _plain_text(value, place)
        case int():
            if value.bit_length() > MAX_BITS:
                raise InvalidJobError(
                    f"{place}: expected a whole number of at most {MAX_BITS} bits, got {value.bit_length()}"
                )
            return int(value)
        case float():
            if not math.isfinite(value):
                raise InvalidJobError(f"{place}: expected a finite number, got {value}: JSON has no word for it")
            return float(value)
        case list() | tuple():
            return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
        case dict():
            for key in value:
                if not isinstance(key, str):
                    raise InvalidJobError(f"{place}: expected strings as keys, got {shown(key)}: write {shown(key)!r}")
            return {
                _plain_text(key, place): _plain(item, f"{place}[{shown(key)}]", depth + 1)
                for key, item in value.items()
            }
        case _:
            raise InvalidJobError(
                f"{place}: expected plain JSON (strings, numbers, booleans, None, lists, dicts), "
                f"got {type(value).__name__} {shown(value)}: pass what identifies it, and look it up in the job"
            )


def _plain_text(text: str, place: str) -> str:
    """*text* itself, and not a member of an enumeration; no store can write half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidJobError(
            f"{place}: expected text that can be written as UTF-8, got {shown(text)}: "
            f"for file names use os.fsencode(name).hex(), or name.encode(errors='backslashreplace').decode()"
        ) from None
    return str.__str__(text)
