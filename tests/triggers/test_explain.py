"""A trigger in one plain sentence, in English and Korean."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from tests.triggers.test_laws import triggers

from tickwork.codec import UnreadableTrigger
from tickwork.errors import TriggerError
from tickwork.triggers import (
    AllOf,
    AnyOf,
    BusinessDays,
    Calendar,
    CalendarIntervalTrigger,
    CronTrigger,
    Dates,
    DateTrigger,
    Holidays,
    Hours,
    IntervalTrigger,
    Period,
    Trigger,
    Weekdays,
    english,
    korean,
    make_trigger,
)
from tickwork.triggers.explain import explain, explain_tick
from tickwork.triggers.said import UnsaidError, read_said
from tickwork.triggers.ticks import Tick

SEOUL = "Asia/Seoul"


@pytest.mark.parametrize(
    ("cron", "in_english", "in_korean"),
    [
        ("0 9 * * 1-5", "every weekday at 09:00", "평일 매일 09:00"),
        ("0 9 * * *", "every day at 09:00", "매일 09:00"),
        ("0 9,18 * * 0", "every Sunday at 09:00 and 18:00", "매주 일요일 09:00, 18:00"),
        ("0 9 * * 7", "every Sunday at 09:00", "매주 일요일 09:00"),
        ("0 9 * * sun-7", "every day at 09:00", "매일 09:00"),
        ("0 9 * * 00-07", "every day at 09:00", "매일 09:00"),
        ("0 9 * * 7-sun", "every Sunday at 09:00", "매주 일요일 09:00"),
        ("0 9 * * sat,sun", "every Saturday and Sunday at 09:00", "주말 09:00"),
        ("0 9 * * mon,wed,fri", "every Monday, Wednesday and Friday at 09:00", "매주 월·수·금요일 09:00"),
        ("* * * * *", "every minute", "1분마다"),
        ("*/10 * * * *", "every 10 minutes", "10분마다"),
        ("0 * * * *", "every hour", "매시간"),
        ("5 * * * *", "every hour at minute 5", "매시 5분"),
        ("0,30 * * * *", "every hour at minutes 0 and 30", "매시 0분, 30분"),
        ("30 */2 * * *", "every 2 hours at minute 30", "2시간마다 30분"),
        ("*/10 9-17 * * mon-fri", "every 10 minutes from 09:00 to 17:59 on weekdays", "평일 09:00~17:59 10분마다"),
        ("7 9-17 * * *", "every hour from 09:07 to 17:07", "09:07~17:07 1시간마다"),
        ("0 0 1 * *", "on the 1st of every month at 00:00", "매월 1일 00:00"),
        ("0 9 2,3,11,22 * *", "on the 2nd, the 3rd, the 11th and the 22nd of every month at 09:00", "매월 2일, 3일, 11일, 22일 09:00"),
        ("0 12 25 12 *", "on the 25th of December at 12:00", "매년 12월 25일 12:00"),
        ("0 9 * 6-8 *", "every day in June, July and August at 09:00", "6월·7월·8월 매일 09:00"),
        ("30 2 13 * 5", "on the 13th of every month or on Fridays at 02:30", "매월 13일 또는 매주 금요일 02:30"),
    ],
)  # fmt: skip
def test_crontabs(cron: str, in_english: str, in_korean: str) -> None:
    trigger = CronTrigger(cron, timezone=SEOUL)

    assert explain(trigger) == f"{in_english}, Asia/Seoul"
    assert explain(trigger, "ko") == f"{in_korean}, Asia/Seoul"


@pytest.mark.parametrize(
    ("fields", "in_english", "in_korean"),
    [
        ({"hour": 9, "day_of_week": "mon-fri"}, "every weekday at 09:00", "평일 매일 09:00"),
        ({"hour": 9, "day_of_week": 0}, "every Monday at 09:00", "매주 월요일 09:00"),
        ({"second": "*/5"}, "every 5 seconds", "5초마다"),
        ({"hour": 3, "minute": 5, "second": 30}, "every day at 03:05:30", "매일 03:05:30"),
        ({"day": 13, "day_of_week": "fri"}, "on the 13th of every month if it is a Friday at 00:00", "매월 13일이면서 금요일인 날 00:00"),
        ({"year": 2027, "month": 5, "day": 1}, "on the 1st of May at 00:00 in 2027", "2027년 5월 1일 00:00"),
        ({"week": "1-10", "day_of_week": 0, "hour": 8}, "every Monday at 08:00 in ISO weeks 1-10", "ISO 1-10주 매주 월요일 08:00"),
    ],
)  # fmt: skip
def test_named_fields(fields: dict[str, Any], in_english: str, in_korean: str) -> None:
    trigger = CronTrigger(**fields, timezone=SEOUL)

    assert explain(trigger) == f"{in_english}, Asia/Seoul"
    assert explain(trigger, "ko") == f"{in_korean}, Asia/Seoul"


@pytest.mark.parametrize(
    ("written", "in_english", "in_korean"),
    [
        ({"crontab": "@daily"}, "every day at 00:00", "매일 00:00"),
        ({"crontab": "0 9 l * *"}, "on the last day of every month at 09:00", "매월 마지막 날 09:00"),
        ({"crontab": "0 9 lw * *"}, "on the last weekday of every month at 09:00", "매월 마지막 평일 09:00"),
        ({"crontab": "0 9 15w * *"}, "on the weekday nearest the 15th of every month at 09:00", "매월 15일에 가장 가까운 평일 09:00"),
        ({"crontab": "0 9 * * 1#2"}, "on the second Monday of every month at 09:00", "매월 둘째 월요일 09:00"),
        ({"crontab": "0 9 * * fri#1"}, "on the first Friday of every month at 09:00", "매월 첫째 금요일 09:00"),
        ({"crontab": "0 9 * * 5l"}, "on the last Friday of every month at 09:00", "매월 마지막 금요일 09:00"),
        ({"crontab": "0 9 L * *"}, "on the last day of every month at 09:00", "매월 마지막 날 09:00"),
        ({"crontab": "0 0 9 ? * 6", "dialect": "quartz"}, "every Friday at 09:00", "매주 금요일 09:00"),
        ({"crontab": "30 0 9 ? * fri 2027", "dialect": "quartz"}, "every Friday at 09:00:30 in 2027", "2027년 매주 금요일 09:00:30"),
        ({"crontab": "0 9 * * 4", "dialect": "apscheduler"}, "every Friday at 09:00", "매주 금요일 09:00"),
        ({"crontab": "0 9 13 * 5", "dialect": "celery"}, "on the 13th of every month if it is a Friday at 09:00", "매월 13일이면서 금요일인 날 09:00"),
        ({"crontab": "30 0 9 * * *", "seconds": "first"}, "every day at 09:00:30", "매일 09:00:30"),
        ({"crontab": "0 9 * * * 30", "seconds": "last"}, "every day at 09:00:30", "매일 09:00:30"),
        ({"crontab": "*/5 * * * * *", "seconds": "first"}, "every 5 seconds", "5초마다"),
        ({"crontab": "0 9 */10 * fri"}, "on the 1st, the 11th, the 21st and the 31st of every month if it is a Friday at 09:00", "매월 1일, 11일, 21일, 31일이면서 금요일인 날 09:00"),
        ({"crontab": "0 22-3 * * fri-mon"}, "every hour from 22:00 to 03:00 on Mondays, Fridays, Saturdays and Sundays", "매주 월·금·토·일요일 22:00~03:00 1시간마다"),
        ({"crontab": "h h * * *"}, "every day at a time from 00:00 to 23:59 that the job's id decides", "매일 00:00~23:59 중 작업 ID로 정해지는 시각"),
        ({"crontab": "h * * * *"}, "every hour at a minute that the job's id decides", "매시간 작업 ID로 정해지는 분"),
        ({"crontab": "h 3 * * *"}, "every day at a time from 03:00 to 03:59 that the job's id decides", "매일 03:00~03:59 중 작업 ID로 정해지는 시각"),
        ({"day": "last", "hour": "9"}, "on the last day of every month at 09:00", "매월 마지막 날 09:00"),
        ({"day": "2nd fri", "hour": "9"}, "on the second Friday of every month at 09:00", "매월 둘째 금요일 09:00"),
        ({"day": "last sun", "hour": "9"}, "on the last Sunday of every month at 09:00", "매월 마지막 일요일 09:00"),
    ],
)  # fmt: skip
def test_elements_of_other_dialects(written: dict[str, str], in_english: str, in_korean: str) -> None:
    said = read_said(written)

    assert english.cron(said) == in_english
    assert korean.cron(said) == in_korean


@pytest.mark.parametrize(
    "written",
    [
        {"crontab": "0 9 * * 5", "dialect": "lunar"},
        {"crontab": "0 9 * * *", "moon": "full"},
        {"crontab": "0 0 9 * * *"},
        {"crontab": "0 9 l-3 * *"},
        {"crontab": "h(0-7) * * * *"},
        {"crontab": "0 9 13 * 1#2", "dialect": "celery"},
        {"moon": "full"},
    ],
)
def test_what_is_not_understood_is_not_said(written: dict[str, str]) -> None:
    with pytest.raises((UnsaidError, ValueError)):
        read_said(written)


@pytest.mark.parametrize("cron", ["*/7 * * * *", "15,45 8-18/2 * 1,7 *", "0 9 * * */2", "0 0-23/5 * * *"])
def test_what_no_plain_sentence_says_rightly_is_shown_as_it_is_written(cron: str) -> None:
    trigger = CronTrigger(cron, timezone=SEOUL)

    assert explain(trigger) in (
        f"cron {cron}, Asia/Seoul",
        f"every day at 00:00, 05:00, 10:00, 15:00 and 20:00, {SEOUL}",
    )
    assert "마다" not in explain(trigger, "ko")


@pytest.mark.parametrize(
    ("trigger", "in_english", "in_korean"),
    [
        (IntervalTrigger(minutes=10), "every 10 minutes", "10분마다"),
        (IntervalTrigger(hours=1), "every hour", "1시간마다"),
        (IntervalTrigger(hours=1, minutes=30), "every 1 hour 30 minutes", "1시간 30분마다"),
        (IntervalTrigger(seconds=0.2), "every 0.2 seconds", "0.2초마다"),
        (
            IntervalTrigger(weeks=2, start_date="2026-01-01 00:00Z", end_date="2027-01-01 00:00Z"),
            "every 2 weeks, from 2026-01-01 00:00 UTC, until 2027-01-01 00:00 UTC",
            "2주마다, 2026-01-01 00:00 UTC부터, 2027-01-01 00:00 UTC까지",
        ),
        (DateTrigger("2026-12-24T18:00+09:00"), "once at 2026-12-24 09:00 UTC", "2026-12-24 09:00 UTC에 한 번"),
        (DateTrigger(), "once, when it is added", "추가할 때 한 번"),
        (CalendarIntervalTrigger(weeks=2, hour=9), "every 2 weeks at 09:00, UTC", "2주마다 09:00, UTC"),
        (
            CalendarIntervalTrigger(months=1, hour=9, start_date="2026-01-31", timezone=SEOUL),
            "every month at 09:00, counted from 2026-01-31, months without that day left out, Asia/Seoul",
            "1개월마다 09:00, 2026-01-31부터, 그 날짜가 없는 달은 제외, Asia/Seoul",
        ),
        (
            CalendarIntervalTrigger(months=1, hour=9, start_date="2026-01-31", short_month="last"),
            "every month at 09:00, counted from 2026-01-31, or on the last day of a shorter month, UTC",
            "1개월마다 09:00, 2026-01-31부터, 그 날짜가 없는 달은 마지막 날, UTC",
        ),
        (
            AnyOf([CronTrigger(hour=9), IntervalTrigger(minutes=7)]),
            "every day at 09:00, UTC; or every 7 minutes",
            "매일 09:00, UTC 또는 7분마다",
        ),
        (
            AllOf([CronTrigger("0 9 * * fri"), CronTrigger("0 9 13 * *")]),
            "when these agree: every Friday at 09:00, UTC; and on the 13th of every month at 09:00, UTC",
            "다음이 모두 일치할 때: 매주 금요일 09:00, UTC, 그리고 매월 13일 09:00, UTC",
        ),
        (
            make_trigger("cron", {"hour": 9, "exclude": ["sat-sun", "holidays KR"], "shift": "next", "jitter": 30}),
            (
                "every day at 09:00, UTC, except on weekends and holidays KR, moved to the next day that counts, "
                "up to 30 seconds later"
            ),
            "매일 09:00, UTC, 주말, KR 공휴일 제외, 제외된 날은 다음 실행 가능일로 이동, 최대 30초 늦게",
        ),
        (
            make_trigger(
                "cron", {"hour": 9, "only": "business days KR", "exclude": "22:00-06:00", "include": "tue,thu-fri"}
            ),
            "every day at 09:00, UTC, only on business days KR, except within 22:00-06:00, but in any case on tue,thu to fri",
            "매일 09:00, UTC, KR 영업일만, 22:00~06:00 제외, 단 화요일, 목요일~금요일에는 실행",
        ),
    ],
)
def test_other_triggers(trigger: Trigger, in_english: str, in_korean: str) -> None:
    assert explain(trigger) == in_english
    assert explain(trigger, "ko") == in_korean


CALENDARS: list[Calendar] = [
    Dates("2026-05-05"),
    Weekdays("mon-wed"),
    Hours("22:00", "06:00"),
    Period("2026-03-01", "2026-04-01"),
    Period("2026-03-01 12:00", None),
    Holidays("KR"),
    Holidays("XKRX"),
    BusinessDays("KR"),
    BusinessDays(),
]


@pytest.mark.parametrize("calendar", CALENDARS, ids=str)
def test_every_reason_of_a_calendar_is_said_in_korean(calendar: Calendar) -> None:
    """All that a year of it says, and what a shift adds; only the code of the region has Latin letters."""
    year = datetime(2026, 1, 1, tzinfo=UTC)
    for hour in range(0, 366 * 24, 5):
        at = year + timedelta(hours=hour)
        reason = calendar.stretch(int(at.timestamp())).reason
        for text in (reason, f"{reason}, and no day to shift to within 31 days"):
            said = explain_tick(Tick(at, text), "ko").excluded

            assert said is not None
            assert re.search("[가-힣]", said)
            assert not re.search("[a-z]", said), said


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("a Saturday", "토요일"),
        ("within 22:00-06:00", "22:00~06:00 안"),
        ("not within 22:00-06:00", "22:00~06:00 밖"),
        ("after 2026-01-01/2026-02-01", "2026-01-01~2026-02-01 이후"),
        ("Chuseok (KR)", "추석 (KR)"),
        ("Chuseok (KR), and no day to shift to within 31 days", "추석 (KR), 31일 안에 옮길 날이 없음"),
        ("German Unity Day (DE)", "German Unity Day (DE)"),  # the package has no Korean name of it
        ("the moon is full (new)", "the moon is full (new)"),
    ],
)
def test_reasons_in_korean(reason: str, said: str) -> None:
    tick = Tick(datetime(2026, 9, 24, 20, tzinfo=UTC), reason)

    assert explain_tick(tick, "ko").excluded == said
    assert explain_tick(tick._replace(excluded=None, why=reason), "ko").why == said
    assert explain_tick(tick) == tick


@given(triggers)
def test_every_trigger_has_a_sentence(trigger: Trigger) -> None:
    for language in ("en", "ko"):
        assert explain(trigger, language).isprintable()


def test_a_trigger_of_another_kind_is_shown_as_it_is_written() -> None:
    unreadable = UnreadableTrigger({"kind": "lunar"}, "expected a kind")

    assert explain(AnyOf([unreadable]), "ko") == 'unreadable for this version: {"kind":"lunar"}'


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(TriggerError, match="language: expected 'en' or 'ko', got 'fr'"):
        explain(IntervalTrigger(minutes=1), "fr")


@pytest.mark.parametrize("crontab", ["* H 9 * * *", "*/5 H * * * *"])
def test_a_hash_with_seconds_has_no_sentence(crontab: str) -> None:
    assert explain(CronTrigger(crontab, seconds="first", seed="job")).startswith(f"cron {crontab}")


def test_numbers_are_said_to_the_microsecond() -> None:
    assert explain(IntervalTrigger(seconds=59.999999)) == "every 59.999999 seconds"
    assert explain(IntervalTrigger(days=1_234_567)) == "every 1234567 days"
    assert explain(IntervalTrigger(seconds=10.000001), "ko") == "10.000001초마다"
