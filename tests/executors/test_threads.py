"""The pool of threads is an executor, and fills its queue only with calls that are known to be short."""

from __future__ import annotations

import pytest
from tests import deeds
from tests.executors.laws import LawsOfThisProcess, Reports, make_call

from tickwork.errors import InvalidJobError
from tickwork.executors.base import Executor
from tickwork.executors.threads import ThreadExecutor


class TestThreadExecutor(LawsOfThisProcess):
    @pytest.fixture
    def executor(self) -> Executor:
        return ThreadExecutor(2)


def test_a_coroutine_given_to_a_thread_runs_to_its_end() -> None:
    async def coroutine() -> int:
        return 7

    executor, reports = ThreadExecutor(1), Reports()
    executor.start(reports)

    executor.submit([make_call(coroutine)])

    assert reports.next()[1].state.value == "succeeded"
    executor.stop()


def test_until_calls_are_known_to_be_short_none_is_taken_to_wait() -> None:
    executor, reports = ThreadExecutor(3), Reports()
    executor.start(reports)

    before = executor.free()
    for _ in range(20):
        executor.submit([make_call(deeds.nothing)])
        reports.next()
    after = executor.free()

    assert before == 3
    assert after > 3
    executor.stop()


@pytest.mark.parametrize("workers", [0, -1, 1.5, "4", True, 1_001])
def test_an_impossible_number_of_threads_is_refused(workers: int) -> None:
    with pytest.raises(
        InvalidJobError, match="ThreadExecutor max_workers: expected a whole number from 1 to 1000, got"
    ):
        ThreadExecutor(workers)
