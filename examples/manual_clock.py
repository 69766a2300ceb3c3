"""A month of nights in a moment, for tests: `python examples/manual_clock.py`."""

from datetime import UTC, datetime, timedelta

from tickwork import RunContext
from tickwork.testing import ManualScheduler

scheduler = ManualScheduler(start=datetime(2026, 3, 1, tzinfo=UTC))
reported: list[datetime] = []


@scheduler.scheduled_job("cron", hour=3, id="report", timezone="Europe/Berlin")
def report(run: RunContext) -> None:
    reported.append(run.fire_time)


def main() -> None:
    scheduler.start()
    scheduler.advance(timedelta(days=31))
    scheduler.shutdown()

    assert len(reported) == len(scheduler.get_runs("report")) == 31
    print(
        f"{len(reported)} reports, at {sorted({time.hour for time in reported})} in UTC: summer time began in between"
    )


if __name__ == "__main__":
    main()
