"""The fields of a cron: read from a string of some dialect, or from options of their own.

Named fields (`hour=3`) are all of them conditions, and Monday is 0. In a cron string what the fields mean
is the dialect's to say: Debian's, unless another is named. What was written stays with what it means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.days import EVERY_DAY, Calendar
from tickwork.triggers.dialects import (
    DAY,
    NAMED,
    NAMED_FIELDS,
    NICKNAMES,
    WEEK,
    YEAR,
    DayRule,
    Dialect,
    Field,
    find_dialect,
)
from tickwork.triggers.grammar import UnreadableError, read_days, read_numbers
from tickwork.triggers.pattern import Pattern

MAX_LENGTH = 1000  # characters in one cron; every minute of an hour, written out, is 169
MAX_PARSED = 4096

FIVE = ("minute", "hour", "day", "month", "day_of_week")
WORD = re.compile(r"\S+")
HASH = re.compile(r"(?<![a-z])h(?![a-z])")
CAPITALS = re.compile(r"(?<![a-z])(?:h|lw?|w)(?![a-z])|(?<=[a-z]{3})l(?![a-z])")
"""The signs H, L, LW and W, which are shown as capitals, among names, which are not."""


@dataclass(slots=True, unsafe_hash=True)  # frozen it would be, if that were not a tenth of what reading a cron costs
class CronFields:
    """What a cron matches. Equal if written the same, apart from case, spaces and defaults. Nobody changes it."""

    written: tuple[tuple[str, str], ...]
    """The options that make it: (("crontab", "0 3 * * mon-fri"),) or (("hour", "3"), ("minute", "0"))."""
    seed: str | None
    """What `H` is chosen by; None where nothing is, or was not yet."""
    pattern: Pattern = field(compare=False, repr=False)
    fixed: bool = field(compare=False, repr=False)
    """Whether it names times (hour and minute do not begin with a star), or follows the clock as it elapses."""
    hashed: bool = field(compare=False, repr=False)
    """Whether it has an `H`."""
    day_rule: DayRule = field(compare=False, repr=False)
    """How its days of the month and of the week go together."""
    parts: Mapping[str, str] = field(compare=False, repr=False)
    """The text of each field by its name, as it counts: with defaults, without nicknames."""

    def __str__(self) -> str:
        options = dict(self.written)
        if "crontab" not in options:
            return " ".join(f"{name}={text}" for name, text in self.written)
        crontab = options.pop("crontab")
        return f"{crontab} ({', '.join(_say_option(*option) for option in options.items())})" if options else crontab


def _say_option(name: str, value: str) -> str:
    return value if name == "dialect" else f"{name} {value}"


@lru_cache(maxsize=MAX_PARSED)
def read_crontab(crontab: str, dialect_name: str | None, seconds: str | None, seed: str | None) -> CronFields:
    """The fields of a cron string."""
    dialect = find_dialect(dialect_name, seconds)
    _check_length(crontab)
    words = crontab.split()
    written: tuple[tuple[str, str], ...] = (("crontab", _with_capitals(" ".join(words))),)
    if dialect_name is not None and dialect_name != "debian":
        written += (("dialect", dialect_name),)
    if seconds is not None:
        written += (("seconds", seconds),)
    if words and words[0][0] == "@":
        return _read_nickname(crontab, dialect, seed, written)
    count = len(words)
    if not len(dialect.fields) - dialect.optional <= count <= len(dialect.fields):
        raise TriggerError(_not_the_fields(count, dialect, crontab))
    return _read_fields(dialect, words, crontab, seed, written)


def _read_nickname(
    crontab: str, dialect: Dialect, seed: str | None, written: tuple[tuple[str, str], ...]
) -> CronFields:
    nickname = crontab.strip()
    texts: dict[str, str] = dict(zip(FIVE, NICKNAMES.get(nickname.lower(), "").split(), strict=False))
    if not texts:
        raise TriggerError(f"cron: expected a nickname, got {nickname!r}{did_you_mean(nickname.lower(), NICKNAMES)}")
    if dialect.day_rule == "one":
        raise TriggerError(f"cron: expected no nickname in a cron of {dialect.name}, got {nickname!r}: write it out")
    return _read_fields(dialect, [texts.get(known.name, "0") for known in dialect.fields], crontab, seed, written)


def read_named_fields(given: Mapping[str, int | str], seed: str | None) -> CronFields:
    """The named fields. What is above the least one given is `*`, what is below is at its minimum."""
    texts = tuple((name, value if isinstance(value, str) else shown(value)) for name, value in given.items())
    expression = ", ".join(f"{name}={text}" for name, text in texts)
    _check_length(expression)
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TriggerError(
                f"cron field {name!r}: expected an integer or a string, got {shown(value)} (in {expression})"
            )
    return _read_named(texts, expression, seed)


@lru_cache(maxsize=MAX_PARSED)
def _read_named(given: tuple[tuple[str, str], ...], expression: str, seed: str | None) -> CronFields:
    texts = _with_defaults(dict(given))
    return _read_fields(NAMED, list(texts.values()), expression, seed, _without_defaults(texts))


def _read_fields(
    dialect: Dialect, texts: list[str], expression: str, seed: str | None, written: tuple[tuple[str, str], ...]
) -> CronFields:
    """What the fields mean that stand in *expression*."""
    if dialect.day_rule == "one":
        texts = _without_question_mark(dialect, texts)
    weekday_field = dialect.weekday_field
    numbers = {"second": 1, "week": WEEK.every, "year": YEAR.every}
    days = weekdays = EVERY_DAY
    hashed = ("h" in expression or "H" in expression) and any(HASH.search(text.lower()) for text in texts)
    if seed is not None and not hashed:
        raise TriggerError(f"seed: expected a cron with an H to choose for, got {expression!r}: leave the seed out")
    hash_seed = seed if seed is not None else ""
    parts = {}
    for known, text in zip(dialect.fields, texts):  # noqa: B905  (a year may lack)
        parts[known.name] = text
        try:
            if known is DAY:
                days = read_days(known, text, hash_seed, weekday_field)
            elif known is weekday_field:
                weekdays = read_days(known, text, hash_seed, known, dialect.last_is_saturday)
            else:
                numbers[known.name] = read_numbers(known, text, hash_seed)
        except UnreadableError as error:
            raise _field_error(dialect, known, error, expression) from None

    either_day = dialect.day_rule == "or" and parts["day"][0] != "*" and parts["day_of_week"][0] != "*"
    if not either_day and days.never_in(numbers["month"]):
        reason = f"expected a day that one of these months has, got {parts['day']!r} in month {parts['month']!r}"
        raise _field_error(dialect, DAY, UnreadableError(reason, 0), expression)
    hour, minute = parts["hour"], parts["minute"]
    calendar = Calendar(numbers["month"], numbers["week"], days, weekdays, either_day)
    return CronFields(
        written,
        seed,
        Pattern(numbers["year"], calendar, numbers["hour"], numbers["minute"], numbers["second"]),
        minute.lstrip()[0] != "*" and hour.lstrip()[0] != "*",
        hashed,
        dialect.day_rule,
        parts,
    )


def _without_question_mark(dialect: Dialect, texts: list[str]) -> list[str]:
    """The texts with a star for the one `?`, which Quartz wants in exactly one of the two day fields."""
    places = [place for place, known in enumerate(dialect.fields) if known is DAY or known is dialect.weekday_field]
    given = [texts[place] for place in places]
    if given.count("?") != 1:
        raise TriggerError(
            f"cron: expected a ? in exactly one of day and day_of_week, got {given[0]!r} and {given[1]!r}: "
            "write ? in the one that does not count"
        )
    return ["*" if text == "?" and place in places else text for place, text in enumerate(texts)]


def _field_error(dialect: Dialect, known: Field, error: UnreadableError, expression: str) -> TriggerError:
    """The error that names field, value, range and place."""
    expression = _printable(expression)
    if dialect is NAMED:
        said = expression
        at = (", " + expression).index(f", {known.name}=") + len(known.name) + 1
    else:
        said = f'"{expression}"'
        at = [match.start() for match in WORD.finditer(expression)][dialect.fields.index(known)]
    at += error.at
    refused = TriggerError(f"cron field {known.name!r}: {error} (in {said}, character {at + 1})")
    refused.expression, refused.position = expression, at
    return refused


def _printable(text: str) -> str:
    """The text with another sign for each that cannot be shown, so that each keeps its place."""
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else " " if one.isspace() else "\ufffd" for one in text)
    )


def _with_capitals(written: str) -> str:
    written = written.lower()
    if "h" in written or "l" in written or "w" in written:
        return CAPITALS.sub(lambda match: match[0].upper(), written)
    return written


def _with_defaults(texts: Mapping[str, str]) -> dict[str, str]:
    filled: dict[str, str] = {}
    default = None
    for known in reversed(NAMED_FIELDS):
        if known.name in texts:
            default = "*"
        minimum = "*" if known is WEEK or known.monday is not None else str(known.lowest)
        filled[known.name] = texts.get(known.name, default or minimum)
    return {known.name: filled[known.name] for known in NAMED_FIELDS}


def _without_defaults(texts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """One way to write what `_with_defaults` made: no stars, and no second 0, but always a least field."""
    written = {
        name: ",".join(_with_capitals(" ".join(part.split())) for part in text.split(","))
        for name, text in texts.items()
    }
    if written["second"] == "0":
        del written["second"]
    least = "second" if "second" in written else "minute"
    return tuple((name, text) for name, text in written.items() if text != "*" or name == least)


def _check_length(expression: str) -> None:
    if len(expression) > MAX_LENGTH:
        raise TriggerError(
            f"cron: expected {MAX_LENGTH} characters at most, got {len(expression)}: write ranges instead of lists"
        )


COUNTS = {5: "five", 6: "six", 7: "seven"}


def _not_the_fields(count: int, dialect: Dialect, crontab: str) -> str:
    names = " ".join(known.name for known in dialect.fields)
    expected = COUNTS[len(dialect.fields)]
    if dialect.optional:
        expected = f"{COUNTS[len(dialect.fields) - 1]} or {expected}"
    said = f'cron: expected the {expected} fields {names}, got {count} in "{_printable(crontab)}"'
    if count == 6 and len(dialect.fields) == 5:
        return f"{said}: say where the seconds stand, seconds='first' or seconds='last'"
    return said
