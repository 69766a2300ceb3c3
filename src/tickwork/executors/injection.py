"""Parameters that an integration fills, as FastAPI's `Depends`; the core knows no integration but by name.

The rule: an integration is imported when a function first asks for it, by what stands in its signature. So a
process that runs jobs needs no set-up to run such a one.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from inspect import Parameter
from typing import TYPE_CHECKING, Any, Protocol, get_args

from tickwork.errors import InvalidJobError
from tickwork.executors.records import Records
from tickwork.refs import Function
from tickwork.signatures import described, signature, split

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from tickwork.executors.around import Around
    from tickwork.executors.call import RunContext

INTEGRATIONS = {
    "fastapi": "tickwork.fastapi.injector",
    "starlette": "tickwork.fastapi.injector",
}
"""The module that understands what of a library stands in a signature. It has a function `injector_for(func)`."""


class Surroundings:
    """What the runs of one scheduler can reach in this process; whoever starts the scheduler says what there is."""

    __slots__ = ("app", "around", "event_loop", "log_level", "records", "state")

    def __init__(
        self, event_loop: Callable[[], AbstractEventLoop] | None = None, *, log_level: int | None = logging.INFO,
        records: Records | None = None,
    ) -> None:  # fmt: skip
        self.app: Any = None
        """The application in whose lifespan the scheduler runs. None: there is none in this process."""
        self.state: Mapping[str, Any] | None = None
        """What that lifespan yields."""
        self.event_loop = event_loop
        """Gives the event loop in which the scheduler's coroutines run. None: each makes its own."""
        self.log_level = log_level
        """From which level on what a run logs is kept with it. None: nothing is."""
        self.records = records
        """What runs read and write of their own in the store. None: there is no store."""
        self.around: tuple[Around, ...] = ()
        """What is put around each call, the outermost first."""


class Injector(Protocol):
    """What fills some parameters of one function, for one run after the other."""

    names: Collection[str]
    """The parameters that it fills."""

    def on_thread(
        self, run: RunContext, surroundings: Surroundings
    ) -> AbstractContextManager[Mapping[str, Any]]:  # fmt: skip
        """Their values, for a call on this thread; what is to be cleaned up is when it is left."""
        ...

    def in_loop(
        self, run: RunContext, surroundings: Surroundings
    ) -> AbstractAsyncContextManager[Mapping[str, Any]]:  # fmt: skip
        """The same for a call in the running event loop, which is not blocked."""
        ...


def find_injector(func: Function) -> Injector | None:
    """What fills parameters of *func*; None if no integration's words are in its signature.

    Raises InvalidJobError for what cannot be had without the rest of the integration (a request).
    """
    for parameter in signature(func).parameters.values():
        for library in _libraries_in(parameter):
            if library in INTEGRATIONS:
                injector: Injector | None = _integration(library, parameter).injector_for(func)
                return injector
    return None


def _integration(library: str, parameter: Parameter) -> Any:
    try:
        return importlib.import_module(INTEGRATIONS[library])
    except ImportError as error:
        raise InvalidJobError(
            f"parameter {parameter.name!r}: expected tickwork[fastapi] to be installed for what {library} calls "
            f"{described(split(parameter.annotation)[0])}, got {error}: pip install 'tickwork[fastapi]'"
        ) from error


def _libraries_in(parameter: Parameter) -> set[str]:
    """The top packages of the classes that a parameter's annotation and default are made of."""
    kind, beside = split(parameter.annotation)
    classes = [type(word) for word in (*beside, parameter.default)]
    classes += [part for part in (kind, *get_args(kind)) if isinstance(part, type)]
    return {base.__module__.partition(".")[0] for each in classes for base in _line_of(each)}


def _line_of(each: type) -> tuple[type, ...]:
    try:
        return each.__mro__
    except AttributeError:  # list[int] says that it is a type
        return ()
