"""Instants and their whole microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.clock import EPOCH, SystemClock, aware_utc, from_micros, to_micros
from tickwork.errors import InvalidJobError

instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


@given(instants)
def test_every_instant_survives_as_microseconds(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


@given(instants, instants)
def test_microseconds_stand_in_the_order_of_their_instants(one: datetime, other: datetime) -> None:
    assert (one < other) == (to_micros(one) < to_micros(other))


def test_they_count_from_1970() -> None:
    assert to_micros(EPOCH) == 0
    assert to_micros(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
    assert to_micros(EPOCH - timedelta(microseconds=1)) == -1


def test_the_clock_of_the_machine_tells_utc() -> None:
    before, now, after = datetime.now(UTC), SystemClock().now(), datetime.now(UTC)

    assert before <= now <= after
    assert now.tzinfo is UTC


def test_a_time_without_a_zone_is_refused_and_others_are_brought_to_utc() -> None:
    seoul = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))

    instant = aware_utc(seoul, "next_run_time")

    assert instant == datetime(2026, 1, 1, tzinfo=UTC)
    assert instant.tzinfo is UTC
    with pytest.raises(
        InvalidJobError,
        match=r"next_run_time: expected a time with a time zone, got the naive '2026-01-01 00:00:00': write 2026-01-01 00:00:00\+00:00",
    ):
        aware_utc(datetime(2026, 1, 1), "next_run_time")
    with pytest.raises(InvalidJobError, match="next_run_time: expected"):
        aware_utc("tomorrow", "next_run_time")  # type: ignore[arg-type]
