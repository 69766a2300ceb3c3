"""The engine and an oracle that walks the clock agree: a seeded sample here, every change by `make oracle`."""

from __future__ import annotations

import random
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from tests.triggers.oracle import Change, changes, compare, crons

CRONS = crons()
HARD = {
    "Australia/Lord_Howe": 2026,  # by half an hour
    "Antarctica/Troll": 2026,  # by two hours
    "America/Santiago": 2026,  # at midnight
    "Asia/Beirut": 2026,
    "Pacific/Apia": 2011,  # by a whole day
    "Africa/Monrovia": 1972,  # by 44 minutes and 30 seconds
    "Africa/Casablanca": 2026,
    "America/Caracas": 2007,
}


def of_year(zone: str, year: int) -> list[Change]:
    return list(changes(zone, datetime(year - 1, 12, 20, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC)))


def test_the_crons_are_at_least_two_hundred() -> None:
    assert len({cron.crontab for cron in CRONS}) >= 200
    assert {cron.rule for cron in CRONS} == {
        "debian", "first", "second", "both", "skip", "skip second", "skip both",
    }  # fmt: skip


@pytest.mark.parametrize("zone", HARD)
def test_hard_changes_have_no_difference(zone: str) -> None:
    figures = compare(of_year(zone, HARD[zone]), CRONS, {})

    assert figures.changes > 0
    assert figures.fire_times > 0
    assert figures.differences == []


def test_a_sample_of_zones_and_years_has_no_difference() -> None:
    """About ten seconds; another seed is another sample."""
    dice = random.Random(2050)
    sampled = []
    for zone in dice.sample(sorted(zoneinfo.available_timezones()), 400):
        begin = datetime(1970, 1, 4, tzinfo=UTC) + timedelta(days=dice.randrange(80 * 365))
        sampled += list(changes(zone, begin, begin + timedelta(days=400)))[:1]

    figures = compare(sampled, CRONS, {})

    assert figures.changes >= 100
    assert figures.differences == []
