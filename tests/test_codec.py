"""Jobs as plain JSON, and what may be written at all."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from tests.samples import EVERY_MINUTE, NOW, jobs, json_values, make_job

from tickwork.codec import (
    MAX_ARGUMENTS_LENGTH,
    MAX_DEPTH,
    MAX_RESULT_LENGTH,
    UnreadableTrigger,
    plain_arguments,
    plain_result,
    read_definition,
    read_json,
    read_progress,
    write_definition,
    write_json,
    write_progress,
)
from tickwork.errors import InvalidJobError, TriggerError
from tickwork.job import DEFINITION, Job
from tickwork.run import Progress
from tickwork.triggers import AnyOf, JitteredTrigger

SURROGATE = b"\xff".decode(errors="surrogateescape")


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("no")


class Unreadable(dict[str, Any]):
    __repr__ = Hostile.__repr__

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")


@given(jobs)
def test_a_definition_survives(job: Job) -> None:
    fields = read_definition(write_definition(job))

    assert fields == {name: getattr(job, name) for name in (*DEFINITION, "retired_at")}


@given(json_values)
def test_json_is_its_own_plain_form(value: Any) -> None:
    assert plain_arguments([value], {"a": value}) == ((value,), {"a": value})
    assert read_json(write_json(value)) == value


def test_what_memory_keeps_is_what_a_file_would_give_back() -> None:
    """Tuples become lists, and members of enumerations plain values."""
    args, kwargs = plain_arguments((Colour.RED, Size.LARGE, (1, (2,))), {"colour": {Colour.RED: Colour.RED}})

    assert (args, kwargs) == (("red", 3, [1, [2]]), {"colour": {"red": "red"}})
    assert [type(arg) for arg in args] == [str, int, list]
    assert type(next(iter(kwargs["colour"]))) is str
    assert json.loads(json.dumps([args, kwargs])) == [list(args), kwargs]


def test_arguments_are_copied() -> None:
    inner = [1]

    args, kwargs = plain_arguments([inner], {"a": inner})
    inner.append(2)

    assert (args, kwargs) == (([1],), {"a": [1]})


def circular() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), r"args\[0\]: expected plain JSON \(strings, numbers, booleans, None, lists, dicts\), got object .*: pass what identifies it"),
        (datetime(2026, 1, 1, tzinfo=UTC), r"args\[0\]: expected plain JSON .*, got datetime"),
        ({"a": [1, {2}]}, r"args\[0\]\['a'\]\[1\]: expected plain JSON .*, got set \{2\}"),
        (b"bytes", "got bytes b'bytes'"),
        (float("inf"), r"args\[0\]: expected a finite number, got inf: JSON has no word for it"),
        ({1: 2}, r"args\[0\]: expected strings as keys, got 1: write '1'"),
        (SURROGATE, r"args\[0\]: expected text that can be written as UTF-8, got '\\udcff'"),
        ({SURROGATE: 1}, r"args\[0\]: expected text that can be written as UTF-8"),
        (10**1000, r"args\[0\]: expected a whole number of at most 1024 bits"),
        (circular(), f"expected at most {MAX_DEPTH} levels of lists and dicts, got more"),
        ("x" * MAX_ARGUMENTS_LENGTH, f"args: expected at most {MAX_ARGUMENTS_LENGTH} characters of JSON, got {MAX_ARGUMENTS_LENGTH + 4}: store the data elsewhere"),
    ],
)  # fmt: skip
def test_what_is_not_plain_json_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        plain_arguments([value], {})


@pytest.mark.parametrize("key", [b"x" * 1_000_000, (1,) * 1_000_000, Hostile()], ids=lambda key: type(key).__name__)
def test_a_key_that_is_no_text_is_shown_in_short(key: Any) -> None:
    with pytest.raises(InvalidJobError, match="args.0.: expected strings as keys, got ") as refused:
        plain_arguments([{key: 1}], {})

    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ("abc", {}, "args: expected a list or tuple, got 'abc'"),
        (5, {}, "args: expected a list or tuple, got 5"),
        ({1}, {}, "args: expected a list or tuple"),
        ([], [1], r"kwargs: expected a dict, got \[1\]"),
        ([], {1: 2}, "kwargs: expected strings as keys, got 1"),
    ],
)
def test_arguments_are_a_list_and_a_dict(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        plain_arguments(args, kwargs)


@pytest.mark.parametrize("result", [None, True, 0, "text", [1, {"a": None}], 1.5, deep(MAX_DEPTH - 1)])
def test_a_small_plain_result_is_kept(result: Any) -> None:
    assert plain_result(result) == result


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (object(), r"result: expected plain JSON \(strings, .*, dicts\)"),
        ([Hostile()], r"result\[0\]: expected plain JSON \(strings, .*, dicts\)"),
        ({"key": [b"secret"]}, r"result\['key'\]\[0\]: expected plain JSON \(strings, .*, dicts\)"),
        (SURROGATE, "result: expected text that can be written as UTF-8"),
        ({"rate": float("nan")}, r"result\['rate'\]: expected a finite number"),
        (10**5000, "result: expected a whole number of at most 1024 bits"),
        (circular(), r"result\[0\].*: expected at most 50 levels of lists and dicts"),
        (deep(100_000), r"result\[0\].*: expected at most 50 levels of lists and dicts"),
        ({1: 2}, "result: expected strings as keys"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_any_other_result_is_refused_by_what_is_wrong_with_it(result: Any, message: str) -> None:
    """And not shown: the reason of a run is told to more people than its result."""
    with pytest.raises(InvalidJobError, match=f"^{message}, got something else: keep it elsewhere") as refused:
        plain_result(result)

    assert len(str(refused.value)) < 500


def test_a_result_that_is_too_large_or_cannot_be_read_is_refused_too() -> None:
    with pytest.raises(InvalidJobError, match="result: expected at most 16384 characters of JSON, got 16386: keep it"):
        plain_result("x" * MAX_RESULT_LENGTH)
    with pytest.raises(InvalidJobError, match="result: expected plain JSON, got RuntimeError where it is read"):
        plain_result(Unreadable())


@pytest.mark.parametrize("progress", [None, Progress(0), Progress(1.5, 10, "in the midst"), Progress(3, None, "✓")])
def test_progress_survives(progress: Progress | None) -> None:
    assert read_progress(write_progress(progress)) == progress


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "lunar", "phase": "full"},
        {"kind": "interval", "eons": 1},
        {"kind": "cron", "hour": "25"},
        {"kind": "any-of", "triggers": [{"kind": "interval", "minutes": 1}, {"kind": "lunar", "phase": "full"}]},
        {"kind": "any-of", "triggers": 3},
        {"kind": "any-of"},
        {"kind": "jittered", "jitter": 5, "trigger": {"kind": "lunar"}},
        {"kind": "jittered", "jitter": 5, "trigger": None},
        {"kind": "jittered", "jitter": 5, "shape": "bell", "trigger": {"kind": "interval", "minutes": 1}},
        {"kind": "filtered", "trigger": {"kind": "interval", "minutes": 1}, "exclude": ["full moons"]},
        {"kind": "filtered", "trigger": {"kind": "interval", "minutes": 1}, "exclude": ["holidays Atlantis"]},
        {"kind": "filtered", "trigger": {"kind": "filtered", "trigger": {"kind": "lunar"}}, "exclude": ["sat"]},
    ],
)
def test_a_trigger_of_a_newer_version_does_not_hide_its_job(written: dict[str, Any]) -> None:
    """It cannot say when, and goes back into the store as it was."""
    text = json.dumps(json.loads(write_definition(make_job())) | {"trigger": written})

    job = make_job()._replace(**read_definition(text))

    assert isinstance(job.trigger, UnreadableTrigger)
    assert "unreadable" in str(job.trigger)
    assert json.loads(write_definition(job)) == json.loads(text)
    with pytest.raises(TriggerError):
        job.trigger.next_after(NOW)


class Own:
    """A trigger of a user's own."""

    kind = "own"

    def next_after(self, instant: datetime) -> datetime | None:
        return None

    def anchored(self, at: datetime, seed: str = "") -> Own:
        return self

    def __repr__(self) -> str:
        return "Own()"


@pytest.mark.parametrize("trigger", [Own(), AnyOf([Own()]), JitteredTrigger(AnyOf([Own()]), 5)])  # type: ignore[list-item]
def test_a_trigger_that_no_process_could_read_is_not_written(trigger: Any) -> None:
    with pytest.raises(
        InvalidJobError,
        match=r"trigger: expected one that every process can read \(date, interval, cron.*\), got Own\(\)",
    ):
        write_definition(make_job(trigger=trigger))


@pytest.mark.parametrize(
    "written",
    [
        '{"kind":"any-of","triggers":[' * 400 + '{"kind":"interval","hours":1}' + "]}" * 400,
        '{"kind":"filtered","trigger":{"kind":"cron","minute":{}},"exclude":["sat"]}',
    ],
)
def test_a_trigger_that_breaks_the_reading_of_it_hides_no_other_job(written: str) -> None:
    text = write_definition(make_job()).replace(json.dumps(EVERY_MINUTE.to_json(), separators=(",", ":")), written)

    assert isinstance(read_definition(text)["trigger"], UnreadableTrigger)
