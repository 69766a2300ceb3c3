"""A job's function, called as a run calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from tickwork import DependencyError, InvalidJobError, RunContext, current_run
from tickwork.testing import call_job

AT = datetime(2026, 3, 29, 1, tzinfo=UTC)


class Order(BaseModel):
    number: int
    due: date


def ship(run: RunContext, order: Order, copies: int = 1) -> tuple[Any, ...]:
    assert current_run() is run
    run.progress(1, 2)
    return order, copies, run.job_id, run.fire_time, run.attempt


async def ship_async(run: RunContext, order: Order, copies: int = 1) -> tuple[Any, ...]:
    await asyncio.sleep(0)
    return ship(run, order, copies)


LOG: list[str] = []


def session() -> Iterator[str]:
    LOG.append("begin")
    yield "session"
    LOG.append("commit")


def no_session() -> str:
    raise ConnectionError("no database")


def work(app: FastAPI, db: Annotated[str, Depends(session)]) -> tuple[str, str]:
    LOG.append("work")
    return app.title, db


def work_alone(db: Annotated[str, Depends(no_session)]) -> None: ...


@pytest.mark.parametrize("func", [ship, ship_async])
@pytest.mark.parametrize("inside_a_loop", [False, True])
def test_it_is_given_what_its_annotations_say_and_returns_what_it_returns(func: Any, inside_a_loop: bool) -> None:
    def call() -> Any:
        order = {"number": 7, "due": "2026-03-01"}
        return call_job(func, kwargs={"order": order, "copies": 2}, id="ship", fire_time=AT, attempt=3)

    async def story() -> Any:
        return call()

    made = asyncio.run(story()) if inside_a_loop else call()

    assert made == (Order(number=7, due=date(2026, 3, 1)), 2, "ship", AT, 3)


def test_what_it_raises_is_raised() -> None:
    error = RuntimeError("broken")

    def fail() -> None:
        raise error

    async def fail_async() -> None:
        raise error

    for func in (fail, fail_async):
        with pytest.raises(RuntimeError) as raised:
            call_job(func)
        assert raised.value is error


def test_a_result_need_not_be_json() -> None:
    thing = object()

    assert call_job(lambda: thing) is thing


def test_dependencies_are_resolved_and_cleaned_up() -> None:
    LOG.clear()

    assert call_job(work, app=FastAPI(title="the shop"), state={}) == ("the shop", "session")
    assert LOG == ["begin", "work", "commit"]


def test_a_dependency_that_fails_says_so() -> None:
    with pytest.raises(DependencyError, match="expected what work_alone depends on, got ConnectionError: no database"):
        call_job(work_alone)


def test_a_function_by_its_name() -> None:
    assert call_job("builtins:sorted", args=[[3, 1, 2]]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kwargs": {"order": {"number": 7}}}, "argument 'order' of ship"),
        ({}, "args, kwargs: expected what ship"),
        ({"kwargs": {"order": {"number": 7, "due": "2026-03-01"}}, "fire_time": datetime(2026, 3, 1)}, "fire_time"),
    ],
)
def test_what_does_not_fit_is_refused_as_add_job_would(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        call_job(ship, **options)
