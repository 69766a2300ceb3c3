"""What a run logs is kept with it, bounded, whatever it logs and from wherever."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.deeds import PATIENCE
from tests.executors.laws import make_call

from tickwork.executors.asyncio import invoke_async
from tickwork.executors.call import Call, RunContext, current_run, invoke
from tickwork.executors.capture import BEGINNING_LENGTH, END_LENGTH, MAX_LINE_LENGTH
from tickwork.executors.injection import Surroundings
from tickwork.run import Failed, Succeeded
from tickwork.runlog import NO_LOG, RunLog

log = logging.getLogger("app.deeds")


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """As an app that shows warnings and more, and shows them nowhere."""
    level = log.level
    log.setLevel(logging.WARNING)
    yield
    log.setLevel(level)


def logged(func: Callable[..., Any], *args: Any, log_level: int | None = logging.INFO) -> RunLog:
    """What is kept of a run of *func*."""
    call = make_call(func, *args)
    call.surroundings = Surroundings(log_level=log_level)
    invoke(call)
    return log_of(call)


def log_of(call: Call) -> RunLog:
    return NO_LOG if call.kept is None else call.kept.log_so_far() or NO_LOG


def texts(kept: RunLog) -> list[str]:
    return [line.text for line in kept.lines]


def test_lines_are_kept_with_their_level_and_logger() -> None:
    def deed() -> None:
        log.warning("%d of %s", 1, "two")
        logging.getLogger().error("at the root")

    kept = logged(deed)

    assert [(line.level, line.logger, line.text) for line in kept.lines] == [
        ("WARNING", "app.deeds", "1 of two"),
        ("ERROR", "root", "at the root"),
    ]
    assert kept.left_out == 0


def test_what_is_logged_outside_of_runs_is_kept_nowhere() -> None:
    call = make_call(lambda: log.warning("inside"))

    log.warning("before")
    invoke(call)
    log.warning("after")

    assert texts(log_of(call)) == ["inside"]


def test_a_run_that_logs_nothing_has_nothing_to_keep() -> None:
    call = make_call(lambda: log.info("the app's level drops it"))

    invoke(call)

    assert call.kept is None


def test_a_coroutine_and_its_tasks_and_threads_log_into_their_run() -> None:
    async def deed(name: str) -> None:
        log.warning("%s begins", name)
        await asyncio.sleep(0)
        await asyncio.gather(*(asyncio.create_task(in_task(name)) for _ in range(2)))
        await asyncio.to_thread(log.warning, "%s in a thread", name)

    async def in_task(name: str) -> None:
        await asyncio.sleep(0)
        log.warning("%s in a task", name)

    async def both() -> None:
        await asyncio.gather(*(asyncio.create_task(invoke_async(call)) for call in calls))

    calls = [make_call(deed, name) for name in "ab"]

    asyncio.run(both())

    for name, call in zip("ab", calls, strict=True):
        assert texts(log_of(call)) == [f"{name} begins", *2 * [f"{name} in a task"], f"{name} in a thread"]


def test_a_thread_that_copied_the_context_logs_into_its_run_and_others_do_not() -> None:
    def deed() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.copy_context().run, log.warning, "copied").result()
            pool.submit(log.warning, "not copied").result()

    assert texts(logged(deed)) == ["copied"]


def test_many_threads_of_one_run_lose_no_line() -> None:
    def deed() -> None:
        barrier = threading.Barrier(4)

        def work(name: int) -> None:
            barrier.wait(PATIENCE)
            for number in range(50):
                log.warning("%d-%d", name, number)

        contexts = [contextvars.copy_context() for _ in range(4)]
        threads = [threading.Thread(target=context.run, args=(work, name)) for name, context in enumerate(contexts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(texts(logged(deed))) == sorted(f"{name}-{number}" for name in range(4) for number in range(50))


def test_the_traceback_follows_the_message() -> None:
    def deed() -> None:
        try:
            raise ValueError("no luck")
        except ValueError:
            log.exception("it went wrong")
            current_run().log.info("so what", exc_info=True)

    message, quietly = texts(logged(deed))

    assert message.startswith("it went wrong\nTraceback (most recent call last):")
    assert message.endswith("ValueError: no luck")
    assert quietly.startswith("so what\nTraceback (most recent call last):")


def test_the_log_of_a_run_that_failed_is_kept_and_tells_the_failure_only_once() -> None:
    """Its traceback stands in its row: tickwork's own lines are not part of the log."""

    def deed() -> None:
        log.warning("about to")
        logging.getLogger("tickwork.store").warning("a line of tickwork itself")
        raise ValueError("fail")

    call = make_call(deed)

    assert isinstance(invoke(call), Failed)
    assert texts(log_of(call)) == ["about to"]


# run.log and levels


def test_what_run_log_says_is_kept_from_info_on_although_the_app_shows_it_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deed(run: RunContext) -> None:
        run.log.debug("too small")
        run.log.info("%s is kept", "this")
        run.log.warning("kept and shown", extra={"more": 1})

    logging.getLogger("tests.samples").setLevel(logging.WARNING)

    kept = logged(deed)

    assert texts(kept) == ["this is kept", "kept and shown"]
    assert kept.lines[0].logger == "tests.samples", "the module of the job's function"
    (shown,) = [record for record in caplog.records if record.name == "tests.samples"]
    assert shown.getMessage() == "kept and shown"
    assert (shown.job, shown.more, shown.funcName) == ("job", 1, "deed")  # type: ignore[attr-defined]
    logging.getLogger("tests.samples").setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("least", "kept"),
    [
        (logging.DEBUG, ["debug", "info", "error"]),
        (logging.INFO, ["info", "error"]),
        (logging.ERROR, ["error"]),
        (None, []),
    ],
)
def test_the_level_from_which_on_lines_are_kept_can_be_chosen(least: int | None, kept: list[str]) -> None:
    def deed() -> None:
        log.setLevel(logging.DEBUG)
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            log.log(level, logging.getLevelName(level).lower())

    assert texts(logged(deed, log_level=least)) == kept


def test_run_log_can_be_asked_what_it_lets_through() -> None:
    def deed(run: RunContext) -> list[bool]:
        return [run.log.isEnabledFor(level) for level in (logging.DEBUG, logging.INFO)]

    assert invoke(make_call(deed)) == Succeeded([False, True])


def test_logging_can_be_configured_as_if_nothing_were_captured() -> None:
    """No handler is added, so `basicConfig` after the start still works; and a new configuration ends no capture."""
    invoke(make_call(lambda: log.warning("first")))
    root = logging.getLogger()
    handlers = root.handlers[:]
    try:
        root.handlers.clear()
        logging.basicConfig(handlers=[logging.NullHandler()])
        configured = [type(handler) for handler in root.handlers]
        kept = logged(lambda: log.warning("second"))
    finally:
        root.handlers[:] = handlers

    assert configured == [logging.NullHandler]
    assert texts(kept) == ["second"]


# what cannot be trusted


class Hostile:
    def __init__(self, error: BaseException | None = None, says: str = "") -> None:
        self.error = error
        self.says = says

    def __str__(self) -> str:
        if self.says:
            log.error("while %s is written", "it")
        if self.error is not None:
            raise self.error
        return self.says

    __repr__ = __str__


@pytest.mark.parametrize(
    ("template", "args", "text"),
    [
        ("%s", (Hostile(ValueError("no")),), "%s (cannot be written with its arguments: ValueError)"),
        (Hostile(RecursionError()), (), "Hostile (cannot be written with its arguments: RecursionError)"),
        ("%d %d", (1,), "%d %d (cannot be written with its arguments: TypeError)"),
        ("%s", ("\udcff half",), "\\udcff half"),
        ("%s", ("nul \0",), "nul \0"),
        (None, (), "None"),
        ("", (), ""),
    ],
)
def test_whatever_is_logged_can_be_written(template: Any, args: tuple[Any, ...], text: str) -> None:
    logging.raiseExceptions = False
    try:
        kept = logged(lambda: log.warning(template, *args))
    finally:
        logging.raiseExceptions = True

    assert texts(kept) == [text]
    kept.lines[0].text.encode()


def test_what_is_logged_by_writing_a_line_down_is_not_kept() -> None:
    """Otherwise an argument that logs itself would never end."""

    kept = logged(lambda: current_run().log.info("%s", Hostile(says="itself")))

    assert texts(kept) == ["itself"]


def test_the_collector_may_log_at_any_moment() -> None:
    class Dying:
        def __del__(self) -> None:
            log.warning("dying")

    def deed() -> None:
        for _ in range(2_000):
            one = Dying()
            one.myself = one  # type: ignore[attr-defined]
            log.warning("a line")
        gc.collect()

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        kept = logged(deed)
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()

    assert {*texts(kept)} <= {"a line", "dying"}


def test_an_enormous_line_loses_its_middle() -> None:
    (text,) = texts(logged(lambda: log.warning("a%sz", "x" * 10_000_000)))

    assert len(text) <= MAX_LINE_LENGTH
    assert text[0] == "a"
    assert text[-1] == "z"
    assert "characters left out" in text


def test_a_flood_keeps_its_beginning_and_its_end_in_bounded_memory() -> None:
    lines = 20_000

    def deed() -> None:
        tracemalloc.start()
        for number in range(lines):
            log.warning("line %06d %s", number, "x" * 100)
        current_run().log.warning("peak %d", tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    log.propagate = False
    try:
        kept = logged(deed)
    finally:
        log.propagate = True

    assert kept.beginning[0].text.startswith("line 000000")
    assert kept.end[-2].text.startswith(f"line {lines - 1:06}")
    assert kept.left_out == lines + 1 - len(kept.lines)
    assert kept.left_out_length == kept.left_out * 112
    assert sum(len(line.text) for line in kept.lines) <= BEGINNING_LENGTH + END_LENGTH
    assert int(kept.end[-1].text.removeprefix("peak ")) < 1_000_000


def test_the_line_before_a_handler_that_hangs_is_kept() -> None:
    """It is kept when it is made, and not when the handlers are done."""
    hangs, go = threading.Event(), threading.Event()

    class Hanging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hangs.set()
            go.wait(PATIENCE)

    handler = Hanging()
    log.addHandler(handler)
    call = make_call(lambda: log.warning("the last words"))
    thread = threading.Thread(target=invoke, args=(call,))
    thread.start()
    try:
        assert hangs.wait(PATIENCE)
        kept = texts(log_of(call))
    finally:
        go.set()
        thread.join()
        log.removeHandler(handler)

    assert kept == ["the last words"]
