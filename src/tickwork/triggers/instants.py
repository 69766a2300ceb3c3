"""Times as users write them: read into UTC, and said again in one way.

The rule: a time without a zone is never guessed at. It is read in the zone that stands beside it, or refused.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from tickwork.checks import shown
from tickwork.clock import BEGINNING, END, EPOCH
from tickwork.errors import TriggerError
from tickwork.triggers.zones import DAY, Zone, find_zone

NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
SECOND = timedelta(seconds=1)
MINUTES = [timedelta(minutes=minute) for minute in range(DAY // 60)]
MAX_MIDNIGHTS = 4096
MIDNIGHTS: dict[int, datetime] = {}
"""Days from 1970, as far as somebody asked for one: see `as_datetime`."""


def read_instant(written: datetime | date | str, name: str, timezone: str | tzinfo | None) -> datetime:
    """*written* in UTC; *name* is the parameter that an error speaks of.

    A date alone is its midnight. A time without a zone is read in *timezone*: in a clock change's gap
    it is moved to right after the gap, in a repeated hour it is the first one.
    """
    time = _as_datetime(written, name)
    try:
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        if timezone is not None:
            return _first_showing(find_zone(timezone), time.replace(tzinfo=None))
    except OverflowError:
        raise TriggerError(
            f"{name}: expected a time between the years 1 and 9999 in UTC, got {shown(written)}: choose a nearer one"
        ) from None
    said = time.isoformat(sep=" ")
    raise TriggerError(
        f"{name}: expected a time with a time zone, got the naive {said!r}: "
        f"write '{said}+00:00', or pass timezone='Asia/Seoul'"
    )


def on_this_day(written: str, now: datetime, timezone: str | None) -> str:
    """*written* itself; or if it is a time alone ('18:00', '18:00+09:00'), with the date of *now* in its zone.

    That is its own, or *timezone*, or the machine's.
    """
    try:
        alone = time_of_day.fromisoformat(written.strip())
    except ValueError:
        return written
    if ":" not in written:  # '2026' is hardly meant as 20:26
        return written
    zone = alone.tzinfo or (None if timezone is None else ZoneInfo(timezone))
    return f"{now.astimezone(zone):%Y-%m-%d}T{written.strip()}"


def read_bounds(
    start_date: datetime | date | str | None, end_date: datetime | date | str | None, timezone: str | tzinfo | None
) -> tuple[datetime | None, datetime | None]:
    """Both ends of a trigger in UTC, the later one not before the earlier one."""
    start = None if start_date is None else read_instant(start_date, "start_date", timezone)
    end = None if end_date is None else read_instant(end_date, "end_date", timezone)
    if start is not None and end is not None and end < start:
        raise TriggerError(
            f"end_date: expected a time at or after start_date {say_instant(start)}, got {say_instant(end)}: "
            "exchange them, or leave one out"
        )
    return start, end


def as_datetime(second: int) -> datetime:
    """The instant that lies *second* seconds after 1970. From tables: each timedelta made anew costs 0.2 us."""
    day, second = divmod(second, DAY)
    try:
        midnight = MIDNIGHTS[day]
    except KeyError:
        if len(MIDNIGHTS) >= MAX_MIDNIGHTS:
            MIDNIGHTS.clear()
        MIDNIGHTS[day] = midnight = EPOCH + timedelta(day)
    if second % 60:
        return midnight + timedelta(0, second)
    return midnight + MINUTES[second // 60]


def say_instant(instant: datetime, zone: str | None = None) -> str:
    """An instant in UTC for people: '2026-11-23 06:00 UTC', with seconds where there are any.

    Another *zone* shows it by its clocks: '2026-11-23 15:00+09:00'.
    """
    timespec = "auto" if instant.second or instant.microsecond else "minutes"
    if zone is not None and zone != "UTC":
        with suppress(OverflowError):  # in the last hours of the year 9999
            return instant.astimezone(ZoneInfo(zone)).isoformat(sep=" ", timespec=timespec)
    return f"{instant.replace(tzinfo=None).isoformat(sep=' ', timespec=timespec)} UTC"


def say_bounds(start: datetime | None, end: datetime | None) -> str:
    """The tail ' from ... until ...' of a trigger's text."""
    since = "" if start is None else f" from {say_instant(start)}"
    return since if end is None else f"{since} until {say_instant(end)}"


def write_bounds(start: datetime | None, end: datetime | None) -> dict[str, str]:
    """The options that `read_bounds` reads."""
    written = {"start_date": start, "end_date": end}
    return {name: instant.isoformat() for name, instant in written.items() if instant is not None}


def floor_second(instant: datetime) -> int:
    """Whole seconds from 1970 to *instant*, which is aware."""
    since = instant - EPOCH
    return since.days * DAY + since.seconds


def plain(number: float) -> str:
    """A number of seconds, or of another unit, to the microsecond, without zeros that say nothing."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def said_of(error: ValueError) -> str:
    """What Python says of a text that is no time, without the text, which may be long."""
    return str(error).partition(": '")[0]


def in_utc(instant: datetime) -> datetime:
    """The instant in UTC; at the ends of the calendar the last that UTC has. TriggerError for a naive one."""
    if instant.tzinfo is None:
        raise naive_instant(instant)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return BEGINNING if instant.year == 1 else END


def naive_instant(instant: datetime) -> TriggerError:
    """The error for a naive time where only an instant will do."""
    said = instant.isoformat(sep=" ")
    return TriggerError(
        f"instant: expected a time with a time zone, got the naive {said!r}: use datetime(..., tzinfo=UTC)"
    )


def _as_datetime(written: datetime | date | str, name: str) -> datetime:
    if isinstance(written, datetime):
        return written
    if isinstance(written, date):
        return datetime(written.year, written.month, written.day)  # noqa: DTZ001  (its zone is the caller's)
    if isinstance(written, str):
        try:
            return datetime.fromisoformat(written.strip())
        except ValueError as error:
            reason = said_of(error)
        raise TriggerError(
            f"{name}: expected a time such as '2026-12-24 18:00' or '2026-12-24T18:00+09:00', "
            f"got {shown(written)}: {reason}"
        )
    raise TriggerError(f"{name}: expected a datetime or an ISO 8601 string, got {shown(written)}")


def _first_showing(zone: Zone, wall: datetime) -> datetime:
    since = wall - NAIVE_EPOCH
    second = zone.first_showing(since // SECOND)
    return EPOCH + timedelta(seconds=second) + since % SECOND
