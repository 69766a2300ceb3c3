"""One reading of durations, whoever asks for it."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deeds import nothing

from tickwork import BackgroundScheduler, Retry
from tickwork.checks import LONGEST
from tickwork.cli.arguments import duration as read_by_the_cli
from tickwork.durations import format_duration, parse_duration, read_duration
from tickwork.errors import InvalidJobError
from tickwork.retention import Retention
from tickwork.sessions.limits import read_length

HOUR_AND_A_HALF = timedelta(hours=1.5)


@pytest.mark.parametrize(
    "written",
    [5400, 5400.0, HOUR_AND_A_HALF, "90m", "1h30m", " 1h 30m ", "1.5h", "1 hour 30 minutes", "5400s", "30m 1h"],
)
def test_it_may_be_written_in_many_ways(written: Any) -> None:
    assert read_duration("timeout", written) == HOUR_AND_A_HALF


@pytest.mark.parametrize(
    "wrong",
    [
        None, True, "", "m", "10", "10 x", "-5m", "1h-30m", "10m later", "1e3s", "\u0661m", "\ud800", "10ms", b"10m", [], math.nan,
        math.inf, -1, 10**400, "99999999999999d", "999999999w", "1s" * 100_000, timedelta(-1), timedelta.max,
    ],
)  # fmt: skip
def test_whatever_else_is_given_is_refused_by_its_name(wrong: Any) -> None:
    with pytest.raises(
        InvalidJobError, match="timeout: expected seconds, a timedelta or a text such as .*, got "
    ) as info:
        read_duration("timeout", wrong)

    assert len(str(info.value)) < 250


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (LONGEST, "10000d"), (timedelta(hours=26), "26h"), (HOUR_AND_A_HALF, "90m"), (timedelta(seconds=61), "61s"),
        (timedelta(milliseconds=1500), "1.5s"), (timedelta(microseconds=1), "0.000001s"), (timedelta(0), "0s"),
    ],
)  # fmt: skip
def test_it_is_written_in_one_unit(length: timedelta, written: str) -> None:
    assert format_duration(length) == written


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_what_is_written_is_read_as_it_was(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


@given(st.text(max_size=20) | st.floats() | st.integers() | st.timedeltas())
def test_nothing_but_a_duration_comes_of_it(written: Any) -> None:
    read = parse_duration(written)

    assert read is None or isinstance(written, timedelta) or timedelta(0) <= read <= LONGEST


@given(st.lists(st.tuples(st.integers(0, 9999), st.sampled_from("wdhms")), min_size=1, max_size=5))
def test_every_face_reads_the_same(parts: list[tuple[int, str]]) -> None:
    written = " ".join(f"{number}{unit}" for number, unit in parts)
    length = parse_duration(written)
    if length is None or length < timedelta(seconds=1):
        return

    scheduler = BackgroundScheduler()
    job = scheduler.new_job(
        nothing, "date", timeout=written, misfire_grace_time=written, expire_after=written, expect_every=written,
        retry=Retry(2, delay=written, max_delay=written), keep=Retention(age=written),  # type: ignore[arg-type]
    )  # fmt: skip

    assert {job.timeout, job.misfire_grace_time, job.expire_after, job.expect_every, job.retry.delay} == {length}
    assert job.keep == Retention(age=length)
    assert read_length("idle", written) == read_by_the_cli(written) == length
