"""The command that looks ahead: `next`. What a trigger will do, and why."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tickwork.cli.arguments import UsageError, read_trigger
from tickwork.cli.reading import find_job, read_time, zone_for
from tickwork.cli.records import change_record, iso, print_json, tick_record
from tickwork.cli.tables import plain_text, print_table
from tickwork.cli.targets import open_store
from tickwork.cli.words import in_zone, say_clock_change, say_distance, say_tick, say_time
from tickwork.clock import END, MICROSECOND
from tickwork.triggers import Trigger, make_trigger
from tickwork.triggers.base import zone_of
from tickwork.triggers.clock_changes import clock_changes
from tickwork.triggers.difference import Difference, compare
from tickwork.triggers.explain import explain, explain_tick
from tickwork.triggers.preview import preview, preview_day
from tickwork.triggers.ticks import Tick
from tickwork.triggers.zones import find_zone

EXTRAS = ("exclude", "only", "include", "shift", "jitter")


class Asked(NamedTuple):
    """The trigger that is asked about, from when on, and in which zone it is shown (None: the local one)."""

    trigger: Trigger
    after: datetime
    zone: str | None
    first: datetime | None = None
    """The next fire time of a job, which may have been set by hand."""


def show_next(options: argparse.Namespace) -> int:
    """Show the next fire times of a trigger, or of a job in a store; and what is left out, with the reason.

        tickwork next '0 3 * * 1-5' --tz Asia/Seoul         a cron
        tickwork next 'every 10m'                           an interval
        tickwork next '{"kind": "cron", "hour": 3}'         any trigger, as JSON
        tickwork next sqlite:///jobs.db --job nightly       a job in a store

    Times are shown in the zone of the trigger, and others in the local zone, unless --tz names one. On stderr
    stands which clock change of the next 400 days touches a fire time. --explain says in its language when the
    trigger fires, why times are left out or moved, and what clock changes do.

    What --exclude, --only and --include name is a date (2026-12-25), days (sat-sun), hours (22:00-06:00), a
    period (2026-12-24/2027-01-02), holidays ('holidays KR', 'holidays DE BY', 'holidays XNYS'), or
    'business days KR'. Each may be given several times.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    asked = _read(options, now)
    if options.compare is not None:
        return _show_difference(asked, options)
    language = options.explain or "en"
    ticks = [explain_tick(tick, language) for tick in _ticks(asked, options)]
    if options.json:
        return print_json(_record(asked, ticks, language))
    if options.explain is not None:
        print(plain_text(explain(asked.trigger, language)))
    for change in clock_changes(asked.trigger, asked.after):
        print(f"tickwork: {say_clock_change(change, language)}", file=sys.stderr)
    return _print_ticks(ticks, asked.zone, now, language)


def _read(options: argparse.Namespace, now: datetime) -> Asked:
    zone = None if options.tz is None else find_zone(options.tz).key
    extras = {name: getattr(options, name) for name in EXTRAS if getattr(options, name) not in (None, [])}
    if options.job is None and _is_store(options.when):
        raise UsageError(
            f"expected a trigger, or --job beside a store, got the store {options.when} alone: "
            f"write `tickwork next {options.when} --job ID`; `tickwork jobs {options.when}` shows the ids"
        )
    if options.job is None:
        trigger = make_trigger(read_trigger(options.when, zone), extras, timezone=zone)
        zone = zone or zone_of(trigger)
        after = now if options.after is None else read_time(options.after, "--after", zone)
        return Asked(trigger.anchored(after, options.seed), after, zone)
    if extras:
        raise UsageError(
            f"expected a job as it is stored, got --{next(iter(extras))} beside --job: see `tickwork next --help`"
        )
    with open_store(options.when) as scheduler:
        job = find_job(scheduler, options.job)
    if job.paused:
        print(f"tickwork: job {job.id!r} is paused, and does not fire until it is resumed", file=sys.stderr)
    zone = zone or zone_for(scheduler, job.id, None)
    after = now if options.after is None else read_time(options.after, "--after", zone)
    if options.after is not None or options.day is not None:
        return Asked(job.trigger, after, zone)
    if job.next_fire_time is None:
        return Asked(job.trigger, datetime.max.replace(tzinfo=UTC), zone)
    return Asked(job.trigger, job.next_fire_time - MICROSECOND, zone, job.next_fire_time)


def _is_store(written: str) -> bool:
    """Whether it is written as a store is: sqlite:///jobs.db, app.jobs:scheduler."""
    return ":" in written and len(written.split()) == 1 and not written.startswith("{")


def _ticks(asked: Asked, options: argparse.Namespace) -> list[Tick]:
    if options.day is not None:
        return preview_day(asked.trigger, options.day, asked.zone)
    ticks = preview(asked.trigger, asked.after, options.count)
    if asked.first is not None and all(tick.at != asked.first for tick in ticks[:1]):
        return [Tick(asked.first), *ticks][: options.count]
    return ticks


def _print_ticks(ticks: list[Tick], zone: str | None, now: datetime, language: str) -> int:
    rows = [
        (
            say_time(tick.at, zone),
            f"{in_zone(tick.at, zone):%a}",
            say_distance(tick.at - now),
            say_tick(tick, zone, language),
        )
        for tick in ticks
    ]
    if any(note for *_, note in rows):
        return print_table(("FIRE TIME", "DAY", "FROM NOW", "NOTE"), rows)
    return print_table(("FIRE TIME", "DAY", "FROM NOW"), [row[:3] for row in rows])


def _show_difference(asked: Asked, options: argparse.Namespace) -> int:
    other = read_trigger(options.compare, asked.zone).anchored(asked.after, options.seed)
    until = asked.after + min(timedelta(days=options.days), END - asked.after)
    found = compare(asked.trigger, other, after=asked.after, until=until, timezone=asked.zone)
    if options.json:
        return print_json(_difference_record(found))
    if not found:
        print(f"no difference in {options.days} days: {found.same} fire times")
        return 0
    zone = asked.zone
    return print_table(
        ("FIRE TIME", "DAY", "WITH THE OTHER"),
        [(say_time(at, zone), f"{in_zone(at, zone):%a}", instead) for at, instead in _differences(found, zone)],
    )


def _differences(found: Difference, zone: str | None) -> list[tuple[datetime, str]]:
    return sorted([
        *((at, "gone") for at in found.only_first),
        *((at, "new") for at in found.only_second),
        *((at, f"moved to {say_time(to, zone)}") for at, to in found.moved),
    ])  # fmt: skip


def _record(asked: Asked, ticks: list[Tick], language: str) -> dict[str, Any]:
    return {
        "trigger": asked.trigger.to_json(),
        "explanation": explain(asked.trigger, language),
        "fire_times": [iso(tick.at) for tick in ticks if tick.excluded is None],
        "ticks": [tick_record(tick) for tick in ticks],
        "clock_changes": [change_record(change) for change in clock_changes(asked.trigger, asked.after)],
    }


def _difference_record(found: Difference) -> dict[str, Any]:
    return {
        "only_first": [iso(at) for at in found.only_first],
        "only_second": [iso(at) for at in found.only_second],
        "moved": [[iso(at), iso(to)] for at, to in found.moved],
        "same": found.same,
    }
