"""One call: what it is given, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from tests.executors.laws import make_call

from tickwork.errors import InvalidJobError
from tickwork.executors.call import (
    MAX_ERROR_LENGTH,
    MAX_REASON_LENGTH,
    RunContext,
    check_arguments,
    context_parameter,
    current_run,
    inside_run,
    invoke,
    keep_arguments,
)
from tickwork.run import Cancelled, Failed, Progress, Succeeded, TimedOut


def wants_context(a: int, run: RunContext) -> str:
    assert inside_run()
    assert current_run() is run
    return f"{a} {run.attempt}"


def test_the_context_is_passed_where_the_annotation_asks_for_it() -> None:
    assert invoke(make_call(wants_context, 5)) == Succeeded("5 1")
    assert not inside_run()
    with pytest.raises(LookupError, match="expected to be inside a run of a job"):
        current_run()


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2), {}, "multiple values for argument 'run'|too many positional"),
        ((1,), {"b": 2}, "unexpected keyword argument 'b'"),
        ((1,), {"run": 2}, "kwargs: expected 'run' to be left out, got a value: tickwork passes the RunContext"),
    ],
)
def test_wrong_arguments_are_refused_with_the_signature(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        check_arguments(wants_context, args, kwargs)
    check_arguments(wants_context, (1,), {})


def test_a_long_error_is_cut() -> None:
    def fails() -> None:
        raise ValueError("many\nlines " * 10_000)

    outcome = invoke(make_call(fails))

    assert isinstance(outcome, Failed)
    assert len(outcome.reason) == MAX_REASON_LENGTH
    assert "\n" not in outcome.reason
    assert outcome.error is not None
    assert len(outcome.error) == MAX_ERROR_LENGTH


@pytest.mark.parametrize(
    ("asked", "ended"),
    [(None, "failed"), (TimedOut("too slow"), "ends as timed_out"), (Cancelled("no need"), "ends as cancelled")],
)
def test_the_log_names_an_ending_as_the_ledger_does(
    asked: TimedOut | Cancelled | None, ended: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        call.asked = asked
        raise ValueError("no")

    call = make_call(fails)
    invoke(call)

    assert f"run {call.run.id} of job {call.run.job_id!r} {ended}: ValueError: no" in caplog.messages


def test_every_text_of_an_outcome_can_be_written() -> None:
    def fails() -> None:
        raise ValueError(b"name \xff".decode(errors="surrogateescape"))

    outcome = invoke(make_call(fails))

    assert isinstance(outcome, Failed)
    assert outcome.reason == "ValueError: name \\udcff"
    assert outcome.error is not None
    outcome.error.encode()


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ((1,), Progress(1)),
        ((1, 10, "one"), Progress(1, 10, "one")),
        ((Fraction(1, 2), Decimal(3)), Progress(0.5, 3.0)),
        ((0, 1, "\udcff"), Progress(0, 1, "\\udcff")),
        ((0, 1, None), Progress(0, 1, "None")),
        ((0, 1, "x" * 600), Progress(0, 1, "x" * MAX_REASON_LENGTH)),
    ],
)
def test_progress_is_plain(told: Any, kept: Progress) -> None:
    call = make_call(int)

    RunContext(call).progress(*told)

    assert call.progress == kept


@pytest.mark.parametrize("told", [("1 of 2",), (float("nan"),), (1, float("inf")), (None,), (10**400,), (object(),)])
def test_progress_that_is_no_number_is_refused(told: Any) -> None:
    with pytest.raises(InvalidJobError, match="progress: expected a finite number as"):
        RunContext(make_call(int)).progress(*told)


def test_tracking_tells_how_far_it_is() -> None:
    call = make_call(int)
    seen = []

    for item in RunContext(call).track(["a", "b"], message="reading"):
        seen.append((item, call.progress))

    assert seen == [("a", Progress(0, 2, "reading")), ("b", Progress(1, 2, "reading"))]
    assert call.progress == Progress(2, 2, "reading")


def test_what_comes_asynchronously_is_tracked_alike() -> None:
    async def pages() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def read(run: RunContext) -> list[Any]:
        return [(page, call.progress) async for page in run.track(pages(), total=2, message="reading")]

    call = make_call(int)

    assert asyncio.run(read(RunContext(call))) == [("a", Progress(0, 2, "reading")), ("b", Progress(1, 2, "reading"))]
    assert call.progress == Progress(2, 2, "reading")


@pytest.mark.parametrize(("total", "end"), [(None, Progress(3)), (10, Progress(3, 10)), (2, Progress(3, 2))])
def test_tracking_ends_at_what_was_done_whatever_was_said_of_the_total(total: int | None, end: Progress) -> None:
    call = make_call(int)

    assert [*RunContext(call).track((number for number in range(3)), total=total)] == [0, 1, 2]
    assert call.progress == end


def test_a_context_is_recognised_however_its_annotation_is_written() -> None:
    def plain(run: RunContext) -> None: ...
    def optional(run: RunContext | None = None) -> None: ...
    def text(run: tickwork.RunContext | None = None) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def other(run: str) -> None: ...

    assert [context_parameter(func) for func in (plain, optional, text, other)] == ["run", "run", "run", None]


def test_what_is_written_nearly_right_says_how_it_is_written() -> None:
    def logs(run: RunContext) -> None:
        run.log("x")  # type: ignore[operator]

    def replaces(run: RunContext) -> None:
        run.state = {"cursor": 5}

    logged, replaced = invoke(make_call(logs)), invoke(make_call(replaces))

    assert isinstance(logged, Failed)
    assert (
        logged.reason
        == "TypeError: run.log: expected a level, got a call of the logger itself: write run.log.info(...)"
    )
    assert isinstance(replaced, Failed)
    assert replaced.reason.endswith('write run.state["cursor"] = ..., or run.state.update(...)')


@pytest.mark.parametrize("name", ["run", "context", "ctx", "run_context"])
def test_a_parameter_that_may_be_meant_for_the_run_is_to_say_so(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def report({name}, day): ...", scope)

    with pytest.raises(InvalidJobError, match=f": write `{name}: RunContext` if it is to receive the run"):
        keep_arguments(scope["report"], (), {"day": "monday"})

    assert keep_arguments(scope["report"], ("own", "monday"), {}) == (("own", "monday"), {})
