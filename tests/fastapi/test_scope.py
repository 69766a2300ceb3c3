"""The dependencies of a run are made for it alone, and cleaned up in every ending; in both kinds of jobs."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.datastructures import State
from tests.deeds import PATIENCE
from tests.executors.laws import Reports
from tests.samples import NOW, held_run, make_job

from tickwork import RunContext, current_run, plan
from tickwork.clock import SystemClock
from tickwork.executors.asyncio import AsyncIOExecutor, invoke_async
from tickwork.executors.call import Call, invoke
from tickwork.executors.injection import Surroundings
from tickwork.executors.threads import ThreadExecutor
from tickwork.fastapi import callers, scope
from tickwork.run import Cancelled, Failed, Lost, Outcome, Succeeded, TimedOut

story: list[Any] = []


@pytest.fixture(autouse=True)
def _blank_page() -> None:
    story.clear()


def make_call(func: Callable[..., Any], surroundings: Surroundings | None = None, **kwargs: Any) -> Call:
    job = make_job(kwargs=kwargs)
    return Call(
        job,
        held_run(job, NOW, lease_until=None),
        func,
        SystemClock(),
        lambda call: None,
        surroundings or Surroundings(),
    )


Make = Callable[..., Outcome]
"""Makes a job of a function and runs it once."""


def as_function(func: Callable[..., Any], surroundings: Surroundings | None = None, **kwargs: Any) -> Outcome:
    return invoke(make_call(func, surroundings, **kwargs))


def as_coroutine(func: Callable[..., Any], surroundings: Surroundings | None = None, **kwargs: Any) -> Outcome:
    @functools.wraps(func)
    async def job(*args: Any, **kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        return await result if asyncio.iscoroutine(result) else result

    return asyncio.run(invoke_async(make_call(job, surroundings, **kwargs)))


@pytest.fixture(params=[as_function, as_coroutine], ids=lambda way: way.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    way: Make = request.param
    return way


# what dependencies do: they write down how they are used


def number() -> int:
    story.append("number")
    return len(story)


async def number_async() -> int:
    await asyncio.sleep(0)
    story.append("number")
    return len(story)


def session(url: Annotated[int, Depends(number)]) -> Iterator[str]:
    story.append("session opened")
    try:
        yield f"session on {url}"
        story.append("session committed")
    except BaseException as error:
        story.append(f"session rolled back: {type(error).__name__}")
        raise
    finally:
        story.append("session closed")


async def client(session: Annotated[str, Depends(session)]) -> AsyncIterator[str]:
    story.append("client opened")
    try:
        yield f"client of {session}"
        story.append("client done")
    except BaseException as error:
        story.append(f"client saw {type(error).__name__}")
        raise
    finally:
        await asyncio.sleep(0)
        story.append("client closed")


Session = Annotated[str, Depends(session)]
Client = Annotated[str, Depends(client)]

OPENED = ["number", "session opened", "client opened"]


def works(client: Client, session: Session) -> str:
    story.append("worked")
    return f"{client}, {session}"


def test_values_are_made_in_their_order_and_cleaned_up_in_the_other(make: Make) -> None:
    assert make(works) == Succeeded("client of session on 1, session on 1")
    assert story == [
        *OPENED, "worked", "client done", "client closed", "session committed", "session closed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "error", [ValueError("no"), StopIteration(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
def test_what_a_job_raises_is_raised_in_what_it_depends_on_and_is_its_outcome(make: Make, error: BaseException) -> None:
    def raises(client: Client) -> None:
        raise error

    async def raises_async(client: Client) -> None:
        raise error

    outcome = make(raises_async if make is as_coroutine and not isinstance(error, StopIteration) else raises)

    assert isinstance(outcome, Failed)
    name = type(error).__name__
    if make is as_coroutine and isinstance(error, StopIteration):  # which no coroutine can raise
        name = "RuntimeError"
    assert outcome.reason.startswith(name)
    assert story == [
        *OPENED, f"client saw {name}", "client closed", f"session rolled back: {name}", "session closed",
    ]  # fmt: skip


def test_the_traceback_of_a_job_ends_where_it_raised(make: Make) -> None:
    outcome = make(fails)

    assert isinstance(outcome, Failed)
    assert outcome.error is not None
    assert outcome.error.splitlines()[-1] == "ValueError: no luck"
    assert "src/tickwork" not in outcome.error
    assert "contextlib" not in outcome.error


def fails(session: Session) -> None:
    raise ValueError("no luck")


def test_a_value_is_made_once_a_run_unless_it_is_not_to_be_shared(make: Make) -> None:
    assert make(counts) == Succeeded([1, 1, 2, 3])
    assert make(counts) == Succeeded([4, 4, 5, 6])


def counts(
    a: int = Depends(number), b: int = Depends(number),
    c: int = Depends(number, use_cache=False), d: int = Depends(number, use_cache=False),
) -> list[int]:  # fmt: skip
    return [a, b, c, d]


class Pages:
    def __init__(self, first: Annotated[int, Depends(number)], size: int = 10) -> None:
        self.first = first
        self.size = size


class Adder:
    async def __call__(self, one: Annotated[int, Depends(number)]) -> int:
        return one + 100


def test_classes_and_objects_that_can_be_called_are_dependencies(make: Make) -> None:
    assert make(uses_classes) == Succeeded([1, 10, 101, {}])


def uses_classes(
    pages: Annotated[Pages, Depends()], added: int = Depends(Adder()), bare: dict[str, int] = Depends(dict)
) -> list[Any]:  # fmt: skip
    return [pages.first, pages.size, added, bare]


def test_a_dependency_knows_the_run(make: Make) -> None:
    outcome = make(knows_run)

    assert isinstance(outcome, Succeeded)
    assert len({*outcome.result}) == 1


def run_id(run: RunContext) -> str:
    return run.id


async def run_id_async(run: RunContext | None = None) -> str:
    assert run is not None
    return current_run().id


def knows_run(run: RunContext, a: str = Depends(run_id), b: str = Depends(run_id_async)) -> list[str]:
    return [run.id, a, b]


# endings


def test_what_a_dependency_raises_is_the_outcome_and_what_was_opened_is_cleaned_up(make: Make) -> None:
    outcome = make(never_begins)

    assert isinstance(outcome, Failed)
    assert outcome.reason == "ConnectionError: nobody there"
    assert outcome.error is not None
    assert "in the dependency broken" in outcome.error
    assert story == ["number", "session opened", "session rolled back: ConnectionError", "session closed"]


def broken(session: Session) -> Iterator[None]:
    raise ConnectionError("nobody there")
    yield


def never_begins(broken: Annotated[None, Depends(broken)]) -> None:
    story.append("worked")


def test_no_dependency_can_hide_that_the_job_failed(make: Make) -> None:
    outcome = make(fails_quietly)

    assert isinstance(outcome, Failed)
    assert outcome.reason == "ValueError: no luck"
    assert story == [*OPENED, "swallowed", "swallowed", "client saw ValueError", "client closed",
                     "session rolled back: ValueError", "session closed"]  # fmt: skip


def swallows(client: Client) -> Iterator[None]:
    try:
        yield
    except ValueError:
        story.append("swallowed")


async def swallows_async(other: Annotated[None, Depends(swallows)]) -> AsyncIterator[None]:
    try:
        yield
    except ValueError:
        story.append("swallowed")


def fails_quietly(quiet: Annotated[None, Depends(swallows_async)]) -> None:
    raise ValueError("no luck")


@pytest.mark.parametrize("fails_too", [False, True])
def test_an_error_while_cleaning_up_is_the_outcome_and_the_others_are_cleaned_up(make: Make, fails_too: bool) -> None:
    outcome = make(leaves_a_mess, fails_too=fails_too)

    assert isinstance(outcome, Failed)
    assert outcome.reason == "OSError: disk full"
    assert outcome.error is not None
    assert ("ValueError: no luck" in outcome.error) is fails_too
    assert story[-2:] == ["session rolled back: OSError", "session closed"]


def messy(session: Session) -> Iterator[None]:
    try:
        yield
    finally:
        raise OSError("disk full")


def leaves_a_mess(messy: Annotated[None, Depends(messy)], fails_too: bool) -> None:
    if fails_too:
        raise ValueError("no luck")


def yields_nothing() -> Iterator[None]:
    yield from ()


async def yields_nothing_async() -> AsyncIterator[None]:
    for each in ():
        yield each


def yields_twice() -> Iterator[int]:
    yield 1
    yield 2


async def yields_twice_async() -> AsyncIterator[int]:
    yield 1
    yield 2


def yields_while_closed() -> Iterator[int]:
    yield 1
    try:
        yield 2
    except GeneratorExit:
        yield 3


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (yields_nothing, "DependencyError: dependency yields_nothing: expected one yield, got none: yield the value"),
        (yields_nothing_async, "DependencyError: dependency yields_nothing_async: expected one yield, got none"),
        (yields_twice, "DependencyError: dependency yields_twice: expected one yield, got another one after it"),
        (yields_twice_async, "DependencyError: dependency yields_twice_async: expected one yield, got another one"),
        (
            yields_while_closed,
            "DependencyError: dependency yields_while_closed: expected one yield, got another one after it",
        ),
    ],
)
def test_a_dependency_yields_once(make: Make, dependency: Any, message: str) -> None:
    def job(session: Session, value: Any = Depends(dependency)) -> None: ...

    outcome = make(job)

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(message)
    assert story[-2:] == ["session rolled back: DependencyError", "session closed"]


# threads and loops


def where() -> threading.Thread:
    return threading.current_thread()


async def where_async() -> threading.Thread:
    return threading.current_thread()


def wheres(a: threading.Thread = Depends(where), b: threading.Thread = Depends(where_async)) -> str:
    names = [threading.current_thread().name, a.name, b.name]
    story.append(names)
    return names[0]


async def wheres_async(a: threading.Thread = Depends(where), b: threading.Thread = Depends(where_async)) -> str:
    return wheres(a, b)


def test_a_function_has_its_functions_on_its_thread_and_its_coroutines_in_the_schedulers_loop() -> None:
    asyncs, threads, reports = AsyncIOExecutor(), ThreadExecutor(1), Reports()
    asyncs.start(reports)
    threads.start(reports)

    threads.submit([make_call(wheres, Surroundings(asyncs.event_loop))])
    reports.next()
    asyncs.submit([make_call(wheres_async, Surroundings(asyncs.event_loop))])
    reports.next()
    asyncs.submit([make_call(wheres, Surroundings(asyncs.event_loop))])
    reports.next()

    on_thread, in_loop, on_thread_of_loop = story
    assert on_thread == ["tickwork-0", "tickwork-0", "tickwork-asyncio"]
    assert (in_loop[0], in_loop[2]) == ("tickwork-asyncio", "tickwork-asyncio")
    assert in_loop[1] != "tickwork-asyncio"
    assert on_thread_of_loop[0] == on_thread_of_loop[1] != "tickwork-asyncio" == on_thread_of_loop[2]
    threads.stop()
    asyncs.stop()


def test_a_coroutine_that_is_given_to_a_thread_has_its_coroutines_in_its_own_loop() -> None:
    assert isinstance(as_function(loops_of), Succeeded)
    assert len({*story}) == 1


async def note_loop() -> AsyncIterator[None]:
    story.append(asyncio.get_running_loop())
    yield
    story.append(asyncio.get_running_loop())


async def loops_of(noted: Annotated[None, Depends(note_loop)]) -> None:
    story.append(asyncio.get_running_loop())


def test_a_function_needs_no_loop_for_functions() -> None:
    def job(session: Session) -> None: ...

    def no_loop() -> asyncio.AbstractEventLoop:
        raise AssertionError("asked for a loop")

    assert as_function(job, Surroundings(no_loop)) == Succeeded()


def test_a_loop_that_has_stopped_fails_the_run_that_needs_it() -> None:
    asyncs = AsyncIOExecutor()
    asyncs.start(Reports())
    asyncs.stop()

    outcome = as_function(works, Surroundings(asyncs.event_loop))

    assert isinstance(outcome, Failed)
    assert outcome.reason == "RuntimeError: expected an executor that runs coroutines, got one that has stopped"
    assert story == ["number", "session opened", "session rolled back: RuntimeError", "session closed"]


def test_a_loop_that_is_closed_while_a_function_waits_for_it_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "GLANCE", 0.01)
    loop = asyncio.new_event_loop()
    call = make_call(works, Surroundings(lambda: loop))  # which nothing runs
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(invoke(call)))
    thread.start()

    while not loop._ready:  # type: ignore[attr-defined]  what the thread waits for has been left there
        thread.join(0.001)
    loop.close()
    thread.join(PATIENCE)

    assert isinstance(outcomes[0], Failed)
    assert outcomes[0].error is not None
    assert "expected the event loop to end what was begun in it, got it closed" in outcomes[0].error
    assert story[-1] == "session closed"


def test_dependencies_may_run_event_loops_of_their_own() -> None:
    def job(url: Annotated[int, Depends(runs_a_loop)]) -> int:
        return url + asyncio.run(number_async())

    assert as_function(job) == Succeeded(3)


def runs_a_loop() -> int:
    return asyncio.run(number_async())


# cancellation


def cancelled_while(holding: Callable[..., Awaitable[None]]) -> Outcome:
    """What becomes of a coroutine that is cancelled as soon as it, or what it depends on, says that it has begun."""

    async def main() -> Outcome:
        begun.clear()
        executor, reports = AsyncIOExecutor(asyncio.get_running_loop()), Reports()
        executor.start(reports)
        call = make_call(holding)
        executor.submit([call])
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        assert executor.cancel(call)
        _, outcome = await asyncio.to_thread(reports.next)
        executor.stop()
        return outcome

    return asyncio.run(main())


begun = threading.Event()
go = threading.Event()


async def holds(client: Client) -> None:
    begun.set()
    await asyncio.Event().wait()


def test_a_cancellation_cleans_up() -> None:
    assert isinstance(cancelled_while(holds), Lost)
    assert story == [
        *OPENED, "client saw CancelledError", "client closed", "session rolled back: CancelledError", "session closed",
    ]  # fmt: skip


async def opens_for_long(session: Session) -> AsyncIterator[None]:
    begun.set()
    try:
        await asyncio.Event().wait()
        yield
    finally:
        story.append("gave up")


async def holds_in_dependency(opened: Annotated[None, Depends(opens_for_long)]) -> None:
    story.append("worked")


def test_a_cancellation_while_a_dependency_opens_cleans_up() -> None:
    assert isinstance(cancelled_while(holds_in_dependency), Lost)
    assert story == ["number", "session opened", "gave up", "session rolled back: CancelledError", "session closed"]


def opens_on_thread() -> Iterator[None]:
    begun.set()
    assert go.wait(PATIENCE)
    story.append("opened")
    try:
        yield
    finally:
        story.append("closed")


async def holds_on_thread(opened: Annotated[None, Depends(opens_on_thread)]) -> None:
    story.append("worked")


def test_a_cancellation_waits_for_a_thread_that_opens_something_and_cleans_it_up() -> None:
    async def main() -> Outcome:
        begun.clear()
        go.clear()
        task = asyncio.create_task(invoke_async(make_call(holds_on_thread)))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        return await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert story == ["opened", "closed"]


async def bad_at_closing(session: Session) -> AsyncIterator[None]:
    try:
        yield
    finally:
        raise OSError("disk full")


async def holds_badly(bad: Annotated[None, Depends(bad_at_closing)]) -> None:
    begun.set()
    await asyncio.Event().wait()


def test_a_cancellation_goes_on_being_one_and_what_fails_meanwhile_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        outcome = cancelled_while(holds_badly)

    assert isinstance(outcome, Lost)
    assert "dependency bad_at_closing, while the run was cancelled" in caplog.text
    assert "OSError: disk full" in caplog.text
    assert story[-2:] == ["session rolled back: CancelledError", "session closed"]


# limits


async def never_closes(session: Session) -> AsyncIterator[None]:
    yield
    await asyncio.Event().wait()


def closes_when_told(session: Session) -> Iterator[None]:
    yield
    assert go.wait(PATIENCE)


def hangs_async(hanging: Annotated[None, Depends(never_closes)]) -> None: ...
def hangs_on_thread(hanging: Annotated[None, Depends(closes_when_told)]) -> None: ...


@pytest.mark.parametrize(
    ("way", "job"),
    [(as_function, hangs_async), (as_coroutine, hangs_async), (as_coroutine, hangs_on_thread)],
)
def test_a_dependency_that_hangs_while_it_cleans_up_is_left_alone(
    way: Make, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except on the thread of a function, where nothing can be left alone: there the run goes on, as the thread does."""
    monkeypatch.setattr(scope, "MAX_CLEANUP", 0.05)
    go.clear()
    timer = threading.Timer(1, go.set)  # the event loop waits for its threads when it is closed
    timer.start()

    outcome = way(job)

    timer.cancel()
    go.set()
    assert isinstance(outcome, Failed)
    assert "expected to be cleaned up within 0.05 s, got no end: it is left alone" in outcome.reason
    assert story[-2:] == ["session rolled back: DependencyError", "session closed"]


async def out_of_time() -> AsyncIterator[None]:
    yield
    raise TimeoutError("the database said so")


def test_a_timeout_of_a_dependency_is_its_own(make: Make) -> None:
    def job(own: Annotated[None, Depends(out_of_time)]) -> None: ...

    outcome = make(job)

    assert isinstance(outcome, Failed)
    assert outcome.reason == "TimeoutError: the database said so"


def closes_slowly(session: Session) -> Iterator[None]:
    yield
    begun.set()
    assert go.wait(PATIENCE)
    story.append("closed slowly")


async def ends_slowly(slow: Annotated[None, Depends(closes_slowly)]) -> None: ...


def test_a_cancellation_while_a_thread_cleans_up_waits_for_it_before_the_next_one_cleans_up() -> None:
    async def main() -> None:
        begun.clear()
        go.clear()
        task = asyncio.create_task(invoke_async(make_call(ends_slowly)))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert story[2:] == ["closed slowly", "session rolled back: CancelledError", "session closed"]


def fails_when_told() -> Iterator[None]:
    begun.set()
    assert go.wait(PATIENCE)
    raise OSError("disk full")
    yield


async def never_runs(failing: Annotated[None, Depends(fails_when_told)]) -> None: ...


def test_what_fails_on_a_thread_after_a_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        begun.clear()
        go.clear()
        task = asyncio.create_task(invoke_async(make_call(never_runs)))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        await task

    with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert "OSError: disk full" in caplog.text


calls: list[Call] = []


def takes_too_long(session: Session) -> str:
    """While it works, its node asks it to end, which a function cannot be made to."""
    calls[-1].asked = TimedOut("it took longer than its timeout")
    story.append("worked")
    return "done"


def stops_half_way(run: RunContext, session: Session) -> None:
    calls[-1].asked = Cancelled("no need")
    run.raise_if_cancelled()
    story.append("worked on")


@pytest.mark.parametrize(("func", "worked"), [(takes_too_long, ["worked"]), (stops_half_way, [])])
def test_what_a_function_wrote_that_was_asked_to_end_is_rolled_back(
    func: Callable[..., Any], worked: list[str]
) -> None:
    calls.append(make_call(func))

    outcome = invoke(calls[-1])

    assert story == ["number", "session opened", *worked, "session rolled back: RunCancelledError", "session closed"]
    assert isinstance(outcome, Failed)
    assert plan.ending(calls[-1].asked, outcome) == calls[-1].asked, "in the ledger it has timed out, or was cancelled"


def test_a_run_that_nobody_asked_to_end_goes_on() -> None:
    RunContext(make_call(takes_too_long)).raise_if_cancelled()


connections = threading.BoundedSemaphore(2)


def connection() -> Iterator[None]:
    assert connections.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        connections.release()


async def uses_connection(connection: Annotated[None, Depends(connection)]) -> None:
    await asyncio.sleep(0)


def test_a_pool_that_many_wait_for_gets_back_what_others_have_done_with() -> None:
    """All threads of FastAPI's pool may wait for a connection: what gives one back must not wait for a thread."""

    async def main() -> list[Outcome]:
        return await asyncio.gather(*(invoke_async(make_call(uses_connection)) for _ in range(100)))

    assert {*map(type, asyncio.run(main()))} == {Succeeded}


# the app


def in_app(app: FastAPI | None = None, **state: Any) -> Surroundings:
    surroundings = Surroundings()
    surroundings.app, surroundings.state = app, state
    return surroundings


def title(app: FastAPI) -> str:
    return app.title


async def pool(state: State) -> Any:
    return state.pool


def asks(app: FastAPI, state: State, title: str = Depends(title), pool: Any = Depends(pool)) -> list[Any]:
    state.pool = "changed for this run alone"
    return [app.title, title, pool]


def test_the_app_and_the_state_of_its_lifespan_are_reached_without_a_request(make: Make) -> None:
    surroundings = in_app(FastAPI(title="shop"), pool="pool")

    assert make(asks, surroundings) == Succeeded(["shop", "shop", "pool"])
    assert make(asks, surroundings) == Succeeded(["shop", "shop", "pool"])


def test_without_an_app_the_run_says_what_is_missing(make: Make) -> None:
    outcome = make(asks, Surroundings())

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(
        "DependencyError: parameter 'app' of asks: expected the app of the lifespan in which the scheduler runs, got a "
        "scheduler in none: start it with lifespan(scheduler), or give the parameter a default"
    )


def without(app: FastAPI | None = None, state: State | None = None) -> bool:
    return app is None and state is None


def test_a_default_stands_in_for_an_app_that_is_not_there(make: Make) -> None:
    assert make(without, Surroundings()) == Succeeded(True)
    assert make(without, in_app(FastAPI())) == Succeeded(False)


def fake_number(again: Annotated[str, Depends(lambda: "fake ")]) -> Iterator[str]:
    yield again + "number"
    story.append("fake closed")


def test_overrides_of_the_app_are_honoured_with_what_they_depend_on(make: Make) -> None:
    app = FastAPI()
    app.dependency_overrides[number] = fake_number

    outcome = make(works, in_app(app))

    assert outcome == Succeeded("client of session on fake number, session on fake number")
    assert story[-1] == "fake closed"


def test_an_override_that_needs_a_request_fails_the_run(make: Make) -> None:
    def of_query(page: int) -> int:
        return page

    app = FastAPI()
    app.dependency_overrides[number] = of_query

    outcome = make(works, in_app(app))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("InvalidJobError: parameter 'page' of test_an_override")


def test_steps_on_a_thread_wait_for_nothing() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="to wait for nothing"):
        callers.OnThread.to_its_end(coroutine := waits())
    coroutine.close()
