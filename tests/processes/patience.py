"""Patience: a fact is waited for, never a time; and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 30.0
"""Seconds that a busy machine may take for anything that is asked of it."""
NAP = 0.02

Fact = TypeVar("Fact")


def wait_until(fact: Callable[[], Fact], what: str, *, patience: float = PATIENCE) -> Fact:
    """The first true answer of *fact*; AssertionError with *what* was expected if none comes in time."""
    deadline = time.monotonic() + patience
    while True:
        answer = fact()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"expected {what} within {patience:.0f} s"
        time.sleep(NAP)
