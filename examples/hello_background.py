"""A schedule beside a program that does something else: `python examples/hello_background.py`."""

import time

from tickwork import BackgroundScheduler, RunContext

scheduler = (
    BackgroundScheduler()
)  # in memory; with "sqlite:///jobs.db" it survives a restart, and other processes join in


@scheduler.scheduled_job("interval", seconds=0.5, id="hello")
def hello(run: RunContext) -> None:
    print(f"hello at {run.fire_time:%H:%M:%S.%f}")


def main() -> None:
    scheduler.start()
    time.sleep(1.8)  # the program's own work
    scheduler.shutdown()
    for run in scheduler.get_runs("hello"):
        print(run.fire_time, run.state)


if __name__ == "__main__":
    main()
