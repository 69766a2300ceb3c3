"""What people type: read into values, or refused in one line."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, NoReturn, TypeVar

from tickwork.checks import LONGEST, shown
from tickwork.durations import PART, parse_duration
from tickwork.errors import TickworkError, did_you_mean
from tickwork.job import MAX_ID_LENGTH
from tickwork.run import RunState
from tickwork.triggers import CronTrigger, IntervalTrigger, Trigger, trigger_from_json

Json = TypeVar("Json")

A_DAY = timedelta(days=1)
FIRST_DAY, LAST_DAY = date(1, 1, 3), date(9999, 12, 29)
"""With a day before and after them in every zone."""
STATES = ", ".join(RunState)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
INSTANT = r"\d[-\d]+ [:.\d]+ UTC"
INTERVAL = re.compile(
    rf"every\s+(?P<length>(?:{PART.pattern}\s*)+|week|day|hour|minute|second)"
    rf"(?:\s*from (?P<start>{INSTANT}))?(?:\s*until (?P<end>{INSTANT}))?"
)
REWORDED = {
    "argument -": "-",
    "the following arguments are required:": "expected",
}
"""What argparse says, and what we say."""


class UsageError(TickworkError):
    """The command line asks for something that cannot be."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    @property
    def options(self) -> Collection[str]:
        """The long options that it knows."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def error(self, message: str) -> NoReturn:
        for theirs, ours in REWORDED.items():
            message = message.replace(theirs, ours)
        raise UsageError(f"{message}: see `{self.prog} --help`")


def check_text(arguments: Sequence[str]) -> None:
    """Python keeps bytes that are not UTF-8 as lone surrogates, which no store can hold."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"expected arguments in UTF-8, got {os.fsencode(argument)!r}") from None


def check_command(arguments: Sequence[str], known: Collection[str]) -> None:
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        raise UsageError(f"expected a command, got {arguments[0]!r}{did_you_mean(arguments[0], known)}")


def refuse_unknown(argument: str, command: str, known: Collection[str]) -> NoReturn:
    """UsageError for what is no argument of the command."""
    near = did_you_mean(argument.partition("=")[0], known) if argument.startswith("-") else ""
    hint = near if near.startswith(" (did") else ""
    raise UsageError(f"did not expect {shown(argument)}{hint}: see `tickwork {command} --help`")


def whole(written: str, *, least: int, most: int) -> int:
    with suppress(ValueError):
        if least <= int(written) <= most:
            return int(written)
    raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {written!r}")


def day(written: str) -> date:
    with suppress(ValueError):
        if FIRST_DAY <= (read := date.fromisoformat(written)) <= LAST_DAY:
            return read
    raise argparse.ArgumentTypeError(
        f"expected a date such as 2026-12-24, from {FIRST_DAY} to {LAST_DAY}, got {written!r}"
    )


def duration(written: str, *, most: timedelta = LONGEST) -> timedelta:
    """A length of time such as '30d' or '1h 30m'; a number alone means seconds."""
    length = parse_duration(float(written) if NUMBER.fullmatch(written) else written)
    if length is None or length > most:
        raise argparse.ArgumentTypeError(
            f"expected a length of time such as 30s, 10m or '1h 30m', at most {most.days} d, got {written!r}"
        )
    return length


def age(written: str) -> timedelta:
    """A length of time that says its unit: what is deleted because 30 were not days does not come back."""
    if NUMBER.fullmatch(written):
        raise argparse.ArgumentTypeError(f"expected a length of time with its unit, such as 30d, got {written!r}")
    return duration(written)


def state(written: str) -> RunState:
    with suppress(ValueError):
        return RunState(written)
    raise argparse.ArgumentTypeError(
        f"expected the state of a run, got {written!r}{did_you_mean(written, [known.value for known in RunState])}"
    )


def name(written: str) -> str:
    """The name of a person."""
    if 0 < len(written) <= MAX_ID_LENGTH and written.isprintable():
        return written
    raise argparse.ArgumentTypeError(f"expected 1 to {MAX_ID_LENGTH} printable characters, got {written!r}")


def user_name() -> str | None:
    """The name by which the system knows who types. None: it knows none, or not one that can be written."""
    with suppress(OSError, KeyError, ImportError, argparse.ArgumentTypeError):
        return name(getpass.getuser().encode(errors="replace").decode())
    return None


def entry(written: str) -> tuple[str, str]:
    """An entry of metadata, such as 'team=search'."""
    key, separator, value = written.partition("=")
    if key and separator and value:
        return key, value
    raise argparse.ArgumentTypeError(f"expected an entry such as team=search, got {written!r}")


def json_list(written: str) -> list[Any]:
    return _read_json(written, list, "a JSON list such as '[1, \"a\"]'")


def json_object(written: str) -> dict[str, Any]:
    return _read_json(written, dict, "a JSON object such as '{\"name\": 1}'")


def _read_json(written: str, kind: type[Json], expected: str) -> Json:
    with suppress(ValueError, RecursionError):
        if isinstance(read := json.loads(written), kind):
            return read
    raise argparse.ArgumentTypeError(f"expected {expected}, got {shown(written)}")


def read_trigger(written: str, timezone: str | None) -> Trigger:
    """The trigger that someone typed: a cron, 'every 10m', JSON, or one as `jobs` shows it.

    Raises UsageError, TriggerError.
    """
    if written.startswith("{"):
        return _from_json(written)
    if written.startswith("cron "):
        return CronTrigger.from_text(written)
    if not written.startswith("every"):
        return CronTrigger(written, timezone=timezone)
    interval = INTERVAL.fullmatch(written)
    length = "" if interval is None else interval["length"]
    every = parse_duration(length if length[:1].isdigit() else f"1 {length}")
    if interval is None or every is None:
        raise UsageError(
            f"expected an interval such as 'every 10m' or 'every 1h 30m', got {written!r}: units are w, d, h, m, s"
        )
    start, end = (None if text is None else text.replace(" UTC", "+00:00") for text in interval.group("start", "end"))
    return IntervalTrigger(seconds=every.total_seconds(), start_date=start, end_date=end)


def _from_json(written: str) -> Trigger:
    try:
        return trigger_from_json(json.loads(written))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, TickworkError):
            raise
        raise UsageError(f"expected a trigger as JSON, got {written!r}: {type(error).__name__} {error}") from None
