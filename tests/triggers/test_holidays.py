"""Holidays come from an extra, which nothing needs that does not ask for them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from tickwork.triggers import Holidays
from tickwork.triggers.holidays import _holidays
from tickwork.triggers.pattern import DAY_ZERO
from tickwork.triggers.zones import DAY

WITHOUT = """
import sys
sys.modules["holidays"] = None  # as if it were not installed

import tickwork, tickwork.cli
from tickwork.codec import UnreadableTrigger, read_trigger
from tickwork.errors import TriggerError
from tickwork.triggers import CronTrigger, FilteredTrigger

FilteredTrigger(CronTrigger(hour=9), exclude="sat-sun")
written = {"kind": "filtered", "trigger": {"kind": "cron", "hour": "9"}, "exclude": ["holidays KR"]}
assert isinstance(read_trigger(written), UnreadableTrigger)
assert read_trigger(written).to_json() == written
try:
    FilteredTrigger(CronTrigger(hour=9), exclude="holidays KR")
except TriggerError as error:
    print(error)
"""


def test_without_the_package_the_rest_works_and_jobs_are_kept() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "holidays: expected the package of this name, got none: pip install 'tickwork[holidays]'\n"


def test_it_is_imported_only_where_it_is_used() -> None:
    asks = "import sys, tickwork, tickwork.cli; sys.exit('holidays' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asks], check=False).returncode == 0


def test_threads_that_meet_a_year_for_the_first_time_see_all_of_its_holidays() -> None:
    """A calendar of the package says that a year is there before it is filled."""
    christmas = (date(2031, 12, 25).toordinal() - DAY_ZERO) * DAY
    _holidays.cache_clear()

    with ThreadPoolExecutor(8) as pool:
        covered = [*pool.map(lambda _: Holidays("KR").stretch(christmas).covered, range(64))]

    assert all(covered)


@pytest.mark.parametrize("wall", [-(10**12), 10**13])
def test_years_that_no_calendar_knows_have_no_holidays(wall: int) -> None:
    assert not Holidays("KR").stretch(wall).covered
