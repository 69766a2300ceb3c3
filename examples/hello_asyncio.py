"""Coroutines on a schedule, in the program's own event loop: `python examples/hello_asyncio.py`."""

import asyncio

from tickwork import AsyncIOScheduler

scheduler = AsyncIOScheduler()


@scheduler.scheduled_job("interval", seconds=0.5, id="fetch")
async def fetch() -> str:
    await asyncio.sleep(0.1)  # a request to somewhere
    print("fetched")
    return "42 pages"


async def main() -> None:
    await scheduler.aio.start()
    await asyncio.sleep(1.3)  # the program's own work
    await scheduler.aio.shutdown()
    for run in await scheduler.aio.get_runs("fetch"):
        print(run.fire_time, run.state, run.result)


if __name__ == "__main__":
    asyncio.run(main())
