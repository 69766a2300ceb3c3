"""The scheduler lives inside the app's own lifespan: entered after it, left before it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.datastructures import State

from tickwork import AsyncIOScheduler, BackgroundScheduler, BlockingScheduler, SchedulerError, TickworkError
from tickwork.events import RunSettled
from tickwork.fastapi import create_router, lifespan
from tickwork.run import RunState
from tickwork.scheduler import Scheduler

DEADLINE = 20

story: list[str] = []
ran_in: list[threading.Thread] = []
began = threading.Event()


@pytest.fixture(autouse=True)
def _blank_page() -> None:
    story.clear()
    ran_in.clear()
    began.clear()


@asynccontextmanager
async def own_lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    story.append("opened")
    yield {"database": "open"}
    story.append("closed")


async def yields_bare(app: FastAPI) -> AsyncIterator[None]:
    yield


async def note_thread() -> None:
    ran_in.append(threading.current_thread())


async def outlast_the_app() -> None:
    began.set()
    try:
        await asyncio.sleep(0.2)
        story.append("job ended")
    except asyncio.CancelledError:
        story.append("job cancelled")
        raise


async def never_end() -> None:
    began.set()
    try:
        await asyncio.Event().wait()
    finally:
        story.append("job cancelled")


def run_app(app: FastAPI, while_running: Any = None) -> Any:
    """Enter and leave the lifespan of *app* as a server does; the state that it yields."""

    async def main() -> Any:
        async with app.router.lifespan_context(app) as state:
            if while_running is not None:
                await while_running()
            return state

    return asyncio.run(main())


async def wait_until_began() -> None:
    assert await asyncio.to_thread(began.wait, DEADLINE)


@pytest.mark.parametrize("kind", [AsyncIOScheduler, BackgroundScheduler])
@pytest.mark.parametrize("on_file", [False, True], ids=["memory", "sqlite"])
def test_the_scheduler_runs_exactly_as_long_as_the_app(kind: type[Scheduler], on_file: bool, tmp_path: Path) -> None:
    scheduler = kind(f"sqlite:///{tmp_path}/jobs.db" if on_file else None)
    seen: list[bool] = []

    async def look() -> None:
        seen.append(scheduler.running)

    run_app(FastAPI(lifespan=lifespan(scheduler)), look)

    assert (seen, scheduler.running) == ([True], False)


def test_coroutines_run_in_the_loop_of_the_app() -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(note_thread, id="note")

    async def wait_settled() -> None:
        settled = asyncio.Event()
        loop = asyncio.get_running_loop()
        scheduler.add_listener(lambda event: loop.call_soon_threadsafe(settled.set), RunSettled)
        scheduler.run_job_now("note")
        await asyncio.wait_for(settled.wait(), DEADLINE)

    run_app(FastAPI(lifespan=lifespan(scheduler)), wait_settled)

    assert set(ran_in) == {threading.current_thread()}


def test_the_apps_own_lifespan_is_around_the_jobs_and_its_state_is_passed_on() -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(outlast_the_app)

    state = run_app(FastAPI(lifespan=lifespan(scheduler, own_lifespan)), wait_until_began)

    assert state == {"database": "open"}
    assert story == ["opened", "job ended", "closed"]


def test_a_job_that_does_not_end_is_cancelled_after_the_timeout() -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(never_end, id="never")

    run_app(FastAPI(lifespan=lifespan(scheduler, own_lifespan, timeout=0.1)), wait_until_began)

    assert story == ["opened", "job cancelled", "closed"]
    assert scheduler.get_runs("never")[0].state in (RunState.CANCELLED, RunState.LOST)


def test_an_app_may_start_again() -> None:
    scheduler = AsyncIOScheduler()
    app = FastAPI(lifespan=lifespan(scheduler, own_lifespan))

    run_app(app)
    run_app(app)

    assert story == ["opened", "closed", "opened", "closed"]


def test_an_app_may_shut_the_scheduler_down_itself() -> None:
    scheduler = AsyncIOScheduler()

    run_app(FastAPI(lifespan=lifespan(scheduler, own_lifespan)), scheduler.aio.shutdown)

    assert story == ["opened", "closed"]


def test_a_scheduler_that_cannot_start_stops_the_app_and_leaves_its_lifespan_tidy(tmp_path: Path) -> None:
    place = tmp_path / "jobs.db"
    place.mkdir()
    scheduler = AsyncIOScheduler(f"sqlite:///{place}")

    with pytest.raises(Exception, match=r"jobs\.db"):
        run_app(FastAPI(lifespan=lifespan(scheduler, own_lifespan)))

    assert story == ["opened"]
    assert not scheduler.running


def test_an_error_while_the_app_runs_still_shuts_the_scheduler_down() -> None:
    scheduler = AsyncIOScheduler()

    async def fail() -> None:
        raise RuntimeError("the app fell")

    with pytest.raises(RuntimeError, match="the app fell"):
        run_app(FastAPI(lifespan=lifespan(scheduler)), fail)

    assert not scheduler.running


def test_a_scheduler_whose_start_does_not_return_is_refused() -> None:
    with pytest.raises(SchedulerError, match="expected a scheduler whose start returns, got a BlockingScheduler"):
        lifespan(BlockingScheduler())


def test_what_is_no_scheduler_is_refused_as_soon_as_it_can_be() -> None:
    with pytest.raises(
        SchedulerError, match=r"lifespan: expected a scheduler, got <fastapi\..*lifespan\(scheduler\)\)"
    ):
        lifespan(FastAPI())  # type: ignore[arg-type]
    with pytest.raises(SchedulerError, match=r"write FastAPI\(lifespan=lifespan\(scheduler\)\)"):
        run_app(FastAPI(lifespan=lifespan))  # type: ignore[arg-type]  # which the app calls with itself


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner": 5}, "expected the app's own lifespan, got 5: pass the function, without calling it"),
        ({"inner": yields_bare}, "got the generator yields_bare: write @asynccontextmanager above it"),
        ({"timeout": "5 x"}, "timeout: expected seconds, a timedelta or a text"),
        ({"timeout": -1}, "timeout: expected seconds, a timedelta or a text"),
    ],
)
def test_what_a_lifespan_cannot_have_is_refused_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TickworkError, match=re.escape(message)):
        lifespan(BackgroundScheduler(), **options)


# what jobs reach


async def note_database(state: State) -> AsyncIterator[str]:
    story.append(f"session on {state.database}")
    try:
        yield f"session on {state.database}"
    finally:
        ran_in.append(threading.current_thread())
        story.append("session given back")


def use_the_app(app: FastAPI, session: Annotated[str, Depends(note_database)]) -> None:
    story.append(f"{app.title} uses {session}")


async def hold_a_session(session: Annotated[str, Depends(note_database)]) -> None:
    await never_end()


async def run_to_the_end(scheduler: Scheduler, job_id: str) -> None:
    settled = asyncio.Event()
    loop = asyncio.get_running_loop()
    scheduler.add_listener(lambda event: loop.call_soon_threadsafe(settled.set), RunSettled)
    scheduler.run_job_now(job_id)
    await asyncio.wait_for(settled.wait(), DEADLINE)


def test_jobs_reach_the_app_and_the_state_of_its_lifespan() -> None:
    """A plain function's coroutines run in the app's loop, where what the lifespan opened belongs."""
    scheduler = AsyncIOScheduler()
    scheduler.add_job(use_the_app, "interval", hours=1, id="job")
    app = FastAPI(title="shop", lifespan=lifespan(scheduler, own_lifespan))

    run_app(app, lambda: run_to_the_end(scheduler, "job"))

    assert story == ["opened", "session on open", "shop uses session on open", "session given back", "closed"]
    assert ran_in == [threading.current_thread()]
    assert scheduler.get_runs("job")[0].state is RunState.SUCCEEDED


def test_overrides_of_the_app_are_those_of_its_jobs() -> None:
    scheduler = BackgroundScheduler()
    scheduler.add_job(use_the_app, "interval", hours=1, id="job")
    app = FastAPI(title="shop", lifespan=lifespan(scheduler))
    app.dependency_overrides[note_database] = lambda: "a fake"

    run_app(app, lambda: run_to_the_end(scheduler, "job"))

    assert story == ["shop uses a fake"]


def test_after_the_lifespan_the_app_is_not_reached_any_more() -> None:
    scheduler = AsyncIOScheduler()
    seen: list[Any] = []

    async def look() -> None:
        seen.append((scheduler.surroundings.app, scheduler.surroundings.state))

    run_app(app := FastAPI(lifespan=lifespan(scheduler, own_lifespan)), look)
    asyncio.run(look())

    assert seen == [(app, {"database": "open"}), (None, None)]


def test_what_a_job_depends_on_is_cleaned_up_when_the_shutdown_cancels_it() -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(hold_a_session)

    run_app(FastAPI(lifespan=lifespan(scheduler, own_lifespan, timeout=0.1)), wait_until_began)

    assert story == ["opened", "session on open", "job cancelled", "session given back", "closed"]


@pytest.mark.parametrize("end", ["timeout", "cancel_run"])
def test_what_a_job_depends_on_is_cleaned_up_when_it_takes_too_long_or_someone_cancels_it(end: str) -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(hold_a_session, "interval", hours=1, id="job", timeout=0.05 if end == "timeout" else None)
    settled = threading.Event()
    scheduler.add_listener(lambda event: settled.set(), RunSettled)

    async def end_it() -> None:
        run = await scheduler.aio.run_job_now("job")
        await wait_until_began()
        if end == "cancel_run":
            await scheduler.aio.cancel_run(run.id)
        assert await asyncio.to_thread(settled.wait, DEADLINE)

    run_app(FastAPI(lifespan=lifespan(scheduler, own_lifespan)), end_it)

    assert story == ["opened", "session on open", "job cancelled", "session given back", "closed"]
    state = RunState.TIMED_OUT if end == "timeout" else RunState.CANCELLED
    assert scheduler.get_runs("job")[0].state is state


def test_a_router_whose_scheduler_was_not_started_says_so(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = BackgroundScheduler()
    forgotten, started = FastAPI(), FastAPI(lifespan=lifespan(scheduler))
    for app in (forgotten, started):
        app.include_router(create_router(scheduler, unprotected=True))

    run_app(started)
    silent = caplog.text
    run_app(forgotten)

    assert silent == ""
    assert "its jobs do not fire in this process. Write FastAPI(lifespan=lifespan(scheduler))" in caplog.text
