"""For tests of schedules: a clock that is moved by hand, a scheduler that runs on it, and what is expected of it.

with ManualScheduler(start=datetime(2026, 3, 1, tzinfo=UTC)) as scheduler:
    scheduler.add_job("app.jobs:refresh", "cron", hour=3, id="refresh")
    scheduler.advance(timedelta(days=31))                    # a month in a moment, no thread and no sleep
    scheduler.assert_ran("refresh", times=31)

`ManualScheduler.rehearsing(app.scheduler)` does so with the jobs that an application declares, and `call_job` calls a
job's function as a run does. The fixtures for pytest are in `tickwork.testing.fixtures`.
"""

from tickwork.testing.calling import call_job
from tickwork.testing.clock import VirtualClock
from tickwork.testing.inline import InlineExecutor
from tickwork.testing.manual import ManualScheduler

__all__ = ["InlineExecutor", "ManualScheduler", "VirtualClock", "call_job"]
