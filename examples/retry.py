"""A job that fails twice and is tried again, as its ledger shows: `python examples/retry.py`."""

from datetime import timedelta
from threading import Event

from tickwork import BackgroundScheduler, Retry, RunContext

scheduler = BackgroundScheduler()
done = Event()


@scheduler.scheduled_job("date", id="upload", retry=Retry(max_attempts=5, delay=timedelta(seconds=0.2)))
def upload(run: RunContext) -> None:
    if run.attempt < 3:
        raise ConnectionError("the other side is down")
    print(f"uploaded once, as {run.key}")  # the same key in each attempt: the other side can tell
    done.set()


def main() -> None:
    scheduler.start()
    done.wait(timeout=10)
    scheduler.shutdown()  # waits until the run is in the ledger
    for run in reversed(scheduler.get_runs("upload")):
        print(f"attempt {run.attempt}: {run.state} {run.reason or ''}")


if __name__ == "__main__":
    main()
