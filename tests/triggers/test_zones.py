"""A zone's table says what zoneinfo says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tickwork.triggers.zones import DAY, LAST_SECOND, find_zone

ZONES = ["UTC", "Europe/Berlin", "Asia/Gaza", "America/Recife", "Pacific/Apia", "Africa/Monrovia", "Antarctica/Troll"]


@pytest.mark.parametrize("key", ZONES)
def test_a_segment_has_the_offset_that_zoneinfo_has_everywhere_in_it(key: str) -> None:
    """Recife and Gaza know periods of less than a week, which a careless search would step over."""
    zone, info = find_zone(key), ZoneInfo(key)

    for second in range(0, 2**32, 100_003):
        begin, end, offset, _, _ = zone.segment(second)
        assert begin <= second < end
        assert timedelta(seconds=offset) == datetime.fromtimestamp(second, info).utcoffset()


@pytest.mark.parametrize("key", ZONES)
def test_segments_follow_each_other_without_a_hole(key: str) -> None:
    zone = find_zone(key)
    at = 0

    while at < 2**32:
        segment = zone.segment(at)
        assert segment.begin <= at if at == 0 else segment.begin == at
        assert zone.segment(segment.end - 1) == segment
        at = segment.end


def test_a_segment_knows_what_the_clock_had_reached_before() -> None:
    gap = int(datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp())
    repeated = int(datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp())
    zone = find_zone("Europe/Berlin")

    after_gap, after_repeated = zone.segment(gap), zone.segment(repeated)

    assert (after_gap.begin, after_gap.offset, after_gap.reached) == (gap, 7200, gap + 3600)
    assert (after_repeated.begin, after_repeated.offset, after_repeated.reached) == (repeated, 3600, repeated + 7200)


@pytest.mark.parametrize("key", ZONES)
def test_the_last_second_of_all_has_an_offset(key: str) -> None:
    begin, end, _, _, _ = find_zone(key).segment(LAST_SECOND)

    assert begin <= LAST_SECOND < end


@pytest.mark.parametrize("key", ZONES)
def test_a_wall_beyond_the_last_year_is_shown_beyond_it_and_not_searched_for_ever(key: str) -> None:
    assert find_zone(key).first_showing(LAST_SECOND + 10 * DAY) > LAST_SECOND


@pytest.mark.parametrize("key", ZONES)
def test_the_changes_of_a_zone_are_those_that_its_clock_shows(key: str) -> None:
    """Also across the edges of the tables, where a segment may begin without a change."""
    zone, info = find_zone(key), ZoneInfo(key)
    listed = [change.begin for change in zone.changes(0, 2**32)]

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, info).utcoffset()

    assert all(offset(begin) != offset(begin - 1) for begin in listed)
    for second in range(DAY, 2**32, 3 * DAY):
        if offset(second) != offset(second - 3 * DAY):
            assert any(second - 3 * DAY < begin <= second for begin in listed)


def test_there_is_one_of_each_zone() -> None:
    assert find_zone("Asia/Seoul") is find_zone(ZoneInfo("Asia/Seoul"))
