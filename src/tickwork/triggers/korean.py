"""Triggers in plain Korean: '평일 매일 09:00, Asia/Seoul'."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from tickwork.triggers.calendars import FULL_NAMES
from tickwork.triggers.dialects import WEEKDAYS
from tickwork.triggers.instants import plain
from tickwork.triggers.said import LAST, At, DayOfMonth, Each, MonthDay, NearestWeekday, NthWeekday, Said, Spread, Times

NAMES = "월화수목금토일"
ORDINALS = {1: "첫째", 2: "둘째", 3: "셋째", 4: "넷째", 5: "다섯째", LAST: "마지막"}
UNITS = {"second": "초", "minute": "분", "hour": "시간", "day": "일", "week": "주", "month": "개월", "year": "년"}
WEEK = (0, 1, 2, 3, 4)
WEEKEND = (5, 6)
ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)
REASONS = {
    **{f"a {full}": f"{NAMES[day]}요일" for day, full in enumerate(FULL_NAMES)},
    "after the last date that is named": "지정한 마지막 날짜 이후",
    "not a date that is named": "지정한 날짜 아님",
    "a business day": "영업일",
    "the last days of all": "달력의 마지막 날",
}
"""What calendars say, as `calendars.py`, `holidays.py` and `shifting.py` write it."""
PLACES = (("not within ", "밖"), ("within ", "안"), ("before ", "이전"), ("after ", "이후"))
NOWHERE = ", and no day to shift to within "


def cron(said: Said) -> str:
    """'평일 매일 09:00', '매주 금요일 10분마다'."""
    days = _days(said)
    if isinstance(said.times, Each) or said.times == Spread(None):
        days = days.removesuffix("매일").rstrip()  # "평일 10분마다"
    years = f"{said.years}년" if said.years else ""
    weeks = f"ISO {said.weeks}주" if said.weeks else ""
    return " ".join(filter(None, (years, weeks, days, _times(said.times))))


def interval(every: timedelta) -> str:
    weeks, days = (
        divmod(every.days, 7) if every.seconds == every.microseconds == 0 and every.days % 7 == 0 else (0, every.days)
    )
    hours, below = divmod(every.seconds, 3600)
    minutes, seconds = divmod(below, 60)
    exact = seconds + every.microseconds / 1e6
    named = ((weeks, "주"), (days, "일"), (hours, "시간"), (minutes, "분"), (exact, "초"))
    return " ".join(f"{plain(number)}{unit}" for number, unit in named if number) + "마다"


def calendar_interval(units: Sequence[tuple[int, str]], time: str, first: str, *, short: str | None) -> str:
    every = " ".join(f"{number}{UNITS[unit]}" for number, unit in units) + "마다"
    months = {"skip": ", 그 날짜가 없는 달은 제외", "last": ", 그 날짜가 없는 달은 마지막 날"}
    since = f", {first}부터" if first else ""
    return f"{every} {time}{since}{months[short] if short else ''}"


def once(at: str | None) -> str:
    return "추가할 때 한 번" if at is None else f"{at}에 한 번"


def bounds(start: str | None, end: str | None) -> str:
    return (f", {start}부터" if start else "") + (f", {end}까지" if end else "")


def any_of(sentences: Sequence[str]) -> str:
    return " 또는 ".join(sentences)


def all_of(sentences: Sequence[str]) -> str:
    return f"다음이 모두 일치할 때: {', 그리고 '.join(sentences)}"


def filtered(sentence: str, rules: dict[str, list[str]], shift: str | None) -> str:
    exclude, only, include = (
        ", ".join(calendar(text) for text in rules[name]) for name in ("exclude", "only", "include")
    )
    moved = {"next": "다음", "previous": "이전"}
    parts = [
        sentence,
        only and f"{only}만",
        exclude and f"{exclude} 제외",
        include and f"단 {include}에는 실행",
        shift and f"제외된 날은 {moved[shift]} 실행 가능일로 이동",
    ]
    return ", ".join(filter(None, parts))


def jittered(sentence: str, seconds: float) -> str:
    return f"{sentence}, 최대 {plain(seconds)}초 늦게"


def calendar(text: str) -> str:
    """'sat-sun' -> '주말', 'holidays KR' -> 'KR 공휴일'."""
    words = {"sat-sun": "주말", "mon-fri": "평일", "business days": "영업일"}
    if text in words:
        return words[text]
    if text.startswith("holidays "):
        return f"{text.removeprefix('holidays ')} 공휴일"
    if text.startswith("business days "):
        return f"{text.removeprefix('business days ')} 영업일"
    if text[:3] in WEEKDAYS:
        for number, name in enumerate(WEEKDAYS):
            text = text.replace(name, f"{NAMES[number]}요일")
        return text.replace("-", "~").replace(",", ", ")
    return text.replace("/", "~") if "/" in text else text.replace("-", "~") if text[2:3] == ":" else text


def reason(text: str) -> str:
    """Why a time is left out or was moved: 'a Saturday' -> '토요일'. What a user's own calendar says stays as it is."""
    head, nowhere, days = text.partition(NOWHERE)
    if nowhere:
        return f"{reason(head)}, {days.removesuffix(' days')}일 안에 옮길 날이 없음"
    if text in REASONS:
        return REASONS[text]
    if text.startswith("the date "):
        return f"지정한 날짜 {text.removeprefix('the date ')}"
    if text.startswith("no holiday "):
        return f"공휴일 아님 {text.removeprefix('no holiday ')}"
    for words, where in PLACES:
        if text.startswith(words):
            return f"{calendar(text.removeprefix(words))} {where}"
    return text


def _times(times: Times) -> str:
    match times:
        case At(each):
            return ", ".join(each)
        case Each():
            return _each(times)
        case Spread(window):
            return (
                "매시간 작업 ID로 정해지는 분" if window is None else f"{'~'.join(window)} 중 작업 ID로 정해지는 시각"
            )
        case _:
            assert_never(times)


def _days(said: Said) -> str:
    if not said.days:
        months = _months(said.months)
        return " ".join(filter(None, (months, _weekdays(said.weekdays))))
    months = "매월"
    if said.months:
        months = _months(said.months) if said.years else f"매년 {_months(said.months)}"
    days = f"{months} {_listed_days(said.days)}"
    if not said.weekdays:
        return days
    weekdays = " ".join(filter(None, (_months(said.months), _weekdays(said.weekdays))))
    return (
        f"{days} 또는 {weekdays}"
        if said.either
        else f"{days}이면서 {'·'.join(NAMES[day] for day in said.weekdays)}요일인 날"
    )


def _listed_days(days: Sequence[DayOfMonth]) -> str:
    return ", ".join(map(_day, days))


def _day(day: DayOfMonth) -> str:
    match day:
        case MonthDay(number):
            return "마지막 날" if number == LAST else f"{number}일"
        case NearestWeekday(number):
            return "마지막 평일" if number == LAST else f"{number}일에 가장 가까운 평일"
        case NthWeekday(number, weekday):
            return f"{ORDINALS[number]} {NAMES[weekday]}요일"
        case _:
            assert_never(day)


def _weekdays(weekdays: Sequence[int]) -> str:
    if weekdays in ((), ALL_DAYS):
        return "매일"
    if weekdays == WEEK:
        return "평일 매일"
    return "주말" if weekdays == WEEKEND else f"매주 {'·'.join(NAMES[day] for day in weekdays)}요일"


def _months(months: Sequence[int]) -> str:
    return "·".join(f"{month}월" for month in months)


def _each(each: Each) -> str:
    number, unit, minutes, window = each
    if unit == "hour" and window is None:
        if number == 1:
            return f"매시 {_minutes(minutes)}" if minutes else "매시간"
        return f"{number}시간마다 {_minutes(minutes)}" if minutes else f"{number}시간마다"
    every = f"{number}{UNITS[unit]}마다"
    return f"{window[0]}~{window[1]} {every}" if window else every


def _minutes(minutes: Sequence[int]) -> str:
    return ", ".join(f"{minute}분" for minute in minutes)
