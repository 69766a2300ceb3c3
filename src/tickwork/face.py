"""The await face: each verb on a thread, while the event loop goes on.

The rule: what lies behind `.aio` has the verbs of what it stands for, by the same names, and each is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


class Face(Generic[S]):
    """Something whose verbs touch the store, as awaitables."""

    def __init__(self, behind: S) -> None:
        self._behind = behind


def awaitable(verb: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[Face[S], P], Coroutine[Any, Any, T]]:
    """The verb, made on a thread. A task that is cancelled meanwhile goes on at once, and the verb to its end."""

    @wraps(verb)
    async def call(self: Face[S], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(verb, self._behind, *args, **kwargs)

    return call
