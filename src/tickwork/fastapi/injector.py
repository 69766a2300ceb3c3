"""What fills the parameters of jobs that FastAPI's words stand at; `tickwork.executors.injection` finds it by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

from tickwork.executors.call import RunContext
from tickwork.executors.injection import Surroundings
from tickwork.fastapi.callers import InLoop, OnThread
from tickwork.fastapi.dependencies import Wants, wants_of
from tickwork.fastapi.scope import opened
from tickwork.refs import Function


def injector_for(func: Function) -> DependencyInjector | None:
    """What fills parameters of *func*; None if it wants no dependency, nor the app or its state.

    Raises InvalidJobError for a dependency that no run can be given.
    """
    wants = wants_of(func)
    return DependencyInjector(wants) if wants else None


class DependencyInjector:
    """All that one job's function is given beside its arguments, for one run after the other."""

    def __init__(self, wants: Wants) -> None:
        self.names: Collection[str] = wants.keys()
        self._wants = wants

    def in_loop(self, run: RunContext, surroundings: Surroundings) -> AbstractAsyncContextManager[Mapping[str, Any]]:
        """The values for a coroutine: coroutines are awaited in its task, functions are called on threads."""
        return opened(self._wants, run, surroundings, InLoop())

    @contextmanager
    def on_thread(self, run: RunContext, surroundings: Surroundings) -> Iterator[Mapping[str, Any]]:
        """The values for a function: functions are called on its thread, coroutines run where the scheduler's do."""
        with OnThread(surroundings) as caller:
            filling = opened(self._wants, run, surroundings, caller)
            values = caller.to_its_end(filling.__aenter__())
            try:
                yield values
            except BaseException as error:
                caller.to_its_end(filling.__aexit__(type(error), error, error.__traceback__))
                raise
            caller.to_its_end(filling.__aexit__(None, None, None))
