"""Retry: how often, how soon, and after which exceptions; each as a table of cases."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import InvalidJobError
from tickwork.policies import ONCE, Retry, exception_names

SECOND = timedelta(seconds=1)


class BusyError(ConnectionError):
    """One of the app's own."""


RAISED = exception_names(BusyError())


def test_an_exception_has_the_names_of_all_that_it_is() -> None:
    assert (f"{__name__}:BusyError", "ConnectionError", "OSError", "Exception", "BaseException") == RAISED


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Retry(4), [0, 0, 0]),
        (Retry(4, delay=10), [10, 10, 10]),
        (Retry(5, delay=1, backoff=2), [1, 2, 4, 8]),
        (Retry(5, delay=1, backoff=10, max_delay=60), [1, 10, 60, 60]),
        (Retry(1000, delay=1, backoff=100, max_delay=timedelta(days=10_000)), [1, 100, 10_000]),
    ],
)
def test_attempts_wait_longer_and_longer_up_to_a_limit(retry: Retry, waits: list[float]) -> None:
    assert [retry.wait_after(attempt, "run").total_seconds() for attempt in range(1, len(waits) + 1)] == waits


def test_no_wait_is_too_long_to_be_reckoned() -> None:
    retry = Retry(1000, delay=timedelta(days=10_000), backoff=100, max_delay=timedelta(days=10_000))

    assert retry.wait_after(999, "run") == timedelta(days=10_000)


@given(st.floats(0, 1), st.text())
def test_jitter_scatters_within_its_share_and_is_the_same_for_the_same_run(jitter: float, key: str) -> None:
    retry = Retry(2, delay=100, jitter=jitter)

    wait = retry.wait_after(1, key)

    assert abs(wait - 100 * SECOND) <= 100 * SECOND * jitter + timedelta(microseconds=1)
    assert wait == Retry(2, delay=100, jitter=jitter).wait_after(1, key)


def test_jitter_is_another_one_for_another_run_and_for_another_attempt() -> None:
    retry = Retry(3, delay=100, jitter=0.5)

    assert len({retry.wait_after(attempt, key) for attempt in (1, 2) for key in ("a", "b")}) == 4


@pytest.mark.parametrize(
    ("retry", "raised", "allowed"),
    [
        (ONCE, RAISED, False),
        (Retry(2), RAISED, True),
        (Retry(2, on=ConnectionError), RAISED, True),
        (Retry(2, on=(BusyError, KeyError)), RAISED, True),
        (Retry(2, on="ConnectionError"), RAISED, True),
        (Retry(2, on="tests.test_policies:BusyError"), ("tests.test_policies:BusyError",), True),
        (Retry(2, on=KeyError), RAISED, False),
        (Retry(2, give_up_on=OSError), RAISED, False),
        (Retry(2, give_up_on=[KeyError]), RAISED, True),
        (Retry(2, on=OSError, give_up_on=ConnectionError), RAISED, False),
        (Retry(2, on=KeyError), None, True),
        (Retry(2, give_up_on=BaseException), None, True),
        (ONCE, None, False),
    ],
)
def test_which_exceptions_are_tried_again(retry: Retry, raised: tuple[str, ...] | None, allowed: bool) -> None:
    assert retry.allows(1, raised) is allowed


def test_after_the_last_attempt_there_is_none() -> None:
    assert [Retry(3).allows(attempt, RAISED) for attempt in (1, 2, 3, 4)] == [True, True, False, False]


def test_exceptions_are_kept_as_names() -> None:
    retry = Retry(on=(BusyError, "app:Gone"), give_up_on=KeyError)

    assert (retry.on, retry.give_up_on) == ((f"{__name__}:BusyError", "app:Gone"), ("KeyError",))
    assert Retry(on=retry.on, give_up_on=retry.give_up_on) == retry


def test_an_exception_of_a_script_is_named_as_others_would_import_it(tmp_path: Path) -> None:
    """The process that raises it may be a worker of `uvicorn shop:app`, or one of `ProcessExecutor`'s."""
    (tmp_path / "shop.py").write_text(
        "from tickwork import Retry\n"
        "from tickwork.policies import exception_names\n"
        "class Busy(Exception): ...\n"
        "assert Retry(2, on=Busy).on == ('shop:Busy',), Retry(2, on=Busy)\n"
        "assert exception_names(Busy())[0] == 'shop:Busy'\n"
    )

    done = subprocess.run([sys.executable, "shop.py"], cwd=tmp_path, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_attempts": 0}, "Retry max_attempts: expected a whole number from 1 to 1000, got 0"),
        ({"max_attempts": True}, "Retry max_attempts: expected a whole number from 1 to 1000, got True"),
        ({"delay": -1}, "Retry delay: expected seconds, a timedelta or a text"),
        ({"delay": "soon"}, "Retry delay: expected seconds, a timedelta or a text"),
        ({"max_delay": timedelta(-1)}, "Retry max_delay: expected seconds, a timedelta or a text"),
        ({"backoff": 0.5}, "Retry backoff: expected a number from 1 to 100.0, got 0.5"),
        ({"backoff": float("nan")}, "Retry backoff: expected a number from 1 to 100.0, got nan"),
        ({"jitter": 1.5}, "Retry jitter: expected a number from 0 to 1, got 1.5"),
        ({"on": 7}, "Retry on: expected exception classes or their names, got 7: write (ConnectionError,)"),
        ({"on": int}, "Retry on: expected exception classes or their names, got <class 'int'>"),
        ({"give_up_on": [""]}, "Retry give_up_on: expected exception classes or their names, got ''"),
        ({"on": "ConectionError"}, "Retry on: expected one of Python's own exceptions or 'module:qualname', got 'ConectionError' (did you mean 'ConnectionError'?)"),
        ({"on": "Busy"}, "Retry on: expected one of Python's own exceptions or 'module:qualname', got 'Busy'"),
        ({"on": ["x"] * 51}, "Retry on: expected at most 50 exceptions, got 51"),
    ],
)  # fmt: skip
def test_an_impossible_retry_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        Retry(**fields)

    assert str(caught.value).startswith(message)
