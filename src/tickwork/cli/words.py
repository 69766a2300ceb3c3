"""How people are told: the words for a job's state, for what became of a run, for times and durations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tickwork.backfill import Backfill
from tickwork.job import Job
from tickwork.node import Node, NodeState, say_clock_error
from tickwork.run import Progress, Run, RunState
from tickwork.triggers.clock_changes import ClockChange
from tickwork.triggers.ticks import Tick

LAST_YEAR = 9999


class TickWords(NamedTuple):
    """What became of a tick, in one language."""

    left_out: str
    through: str
    for_ever: str
    shifted: str
    jitter: str


TICK_WORDS = {
    "en": TickWords("left out{through}: {why}", " through {}", " from then on", "shifted from {}: {why}", "jitter {}"),
    "ko": TickWords("{through}제외: {why}", "{}까지 ", "이후 모두 ", "{}에서 이동: {why}", "{} 늦게"),
}
CHANGE_WORDS = {
    "en": {
        "the clock goes": "the clock goes from {} to {}, so ",
        "does not exist": "{} does not exist",
        "comes twice": "{} comes twice",
        "moved": "it fires at {}",
        "left out": "it does not fire",
        "first": "it fires the first time",
        "second": "it fires the second time",
        "both": "it fires both times",
    },
    "ko": {
        "the clock goes": "시계가 {}에서 {}(으)로 바뀌어 ",
        "does not exist": "{} 시각이 없음",
        "comes twice": "{} 시각이 두 번 옴",
        "moved": "{}에 실행",
        "left out": "실행 안 함",
        "first": "첫 번째에 실행",
        "second": "두 번째에 실행",
        "both": "두 번 모두 실행",
    },
}


def say_state(job: Job, overdue_at: datetime | None = None) -> str:
    overdue = "" if overdue_at is None else ", overdue"
    if job.retired_at is not None:
        return f"retired{overdue}"
    if job.paused:
        by = f" by {job.paused_by}" if job.paused_by else ""
        return (f"paused{by}: {job.pause_reason}" if job.pause_reason else f"paused{by}") + overdue
    return ("ended" if job.ended else "scheduled") + overdue


def say_node_state(node: Node) -> str:
    if node.state is not NodeState.ALIVE or node.firing:
        return node.state
    return (
        f"{node.state}, paused"
        if node.clock_error is None
        else f"{node.state}, but {say_clock_error(node.clock_error)}"
    )


def say_nodes(nodes: Sequence[Node]) -> str:
    """How many are alive, as these are, and how many of them do not fire."""
    if not nodes:
        return "no node is alive: nothing fires"
    if len(nodes) == 1:
        return f"1 node is {say_node_state(nodes[0])}"
    paused = sum(node.paused for node in nodes)
    wrong = sum(node.clock_error is not None for node in nodes)
    idle = [f"{paused} of them paused"] * bool(paused) + [f"{wrong} with a wrong clock"] * bool(wrong)
    return ", ".join([f"{len(nodes)} nodes are alive", *idle])


def say_ending(run: Run) -> str:
    return run.state if run.attempt == 1 else f"{run.state}, attempt {run.attempt}"


def say_filled(backfill: Backfill, zone: str | None) -> str:
    """How far a backfill has come."""
    if backfill.ended_at is not None:
        return f"ended: {backfill.reason}" if backfill.reason else "done"
    return "its last runs go on" if backfill.cursor is None else f"at {say_time(backfill.cursor, zone)}"


def say_took(run: Run, now: datetime) -> str:
    """How long the call took, or in whole seconds for how long it has been going on: 'for 24 s'."""
    if run.state is not RunState.RUNNING or run.started_at is None:
        return say_duration(run.duration)
    seconds = max(0, round((now - run.started_at).total_seconds()))  # the node's clock may be ahead
    return f"for {seconds} s" if seconds < 60 else f"for {say_duration(timedelta(seconds=seconds))}"


def say_note(run: Run, zone: str | None) -> str:
    """Why it ended as it did, or what came of it, or how far it is."""
    if run.reason is not None:
        return run.reason if run.through is None else f"until {say_time(run.through, zone)}: {run.reason}"
    if run.result is not None:
        return json.dumps(run.result, ensure_ascii=False)
    return "" if run.progress is None else say_progress(run.progress)


def say_progress(progress: Progress) -> str:
    """'40/100 pages'"""
    total = "" if progress.total is None else f"/{progress.total:g}"
    return f"{progress.done:g}{total} {progress.message}".rstrip()


def say_time(instant: datetime | None, zone: str | None = None) -> str:
    """With its offset, in *zone*; None is the local one. Fractions of a second where there are any."""
    if instant is None:
        return "-"
    local = in_zone(instant, zone)
    offset = f"{local:%z}"
    fraction = f".{local.microsecond // 1000:03}" if local.microsecond else ""
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {offset[:3]}:{offset[3:5]}"


def say_tick(tick: Tick, zone: str | None, language: str = "en") -> str:
    """Why it is left out, or from where it was moved: nothing for most. Its reasons are in that language already."""
    words = TICK_WORDS[language]
    if tick.excluded is not None:
        through = "" if tick.through is None else words.through.format(say_time(tick.through, zone))
        through = words.for_ever if tick.through is not None and tick.through.year == LAST_YEAR else through
        return words.left_out.format(through=through, why=tick.excluded)
    shifted = "" if tick.shifted_from is None else words.shifted.format(say_time(tick.shifted_from, zone), why=tick.why)
    jitter = words.jitter.format(say_duration(tick.jitter)) if tick.jitter else ""
    return "; ".join(filter(None, (shifted, jitter)))


def say_clock_change(change: ClockChange, language: str = "en") -> str:
    """'2027-03-28 Europe/Berlin: the clock goes from 02:00 to 03:00, so 02:30 does not exist: it fires at 03:00'."""
    words = CHANGE_WORDS[language]
    touched = words["comes twice" if change.repeats else "does not exist"]
    return (
        f"{change.before:%Y-%m-%d} {change.timezone}: "
        + words["the clock goes"].format(f"{change.before:%H:%M}", f"{change.after:%H:%M}")
        + touched.format(f"{change.time:%H:%M}")
        + ": "
        + words[change.outcome].format(f"{change.after:%H:%M}")
    )


def in_zone(instant: datetime, zone: str | None) -> datetime:
    return instant.astimezone(None if zone is None else ZoneInfo(zone))


def say_distance(duration: timedelta) -> str:
    return f"{say_duration(-duration)} ago" if duration < timedelta(0) else f"in {say_duration(duration)}"


def say_duration(duration: timedelta | None) -> str:
    """In its two largest units: '0.4 ms', '1.2 s', '3 min 05 s', '2 h 30 min', '12 d 4 h'."""
    if duration is None:
        return "-"
    seconds = duration.total_seconds()
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
