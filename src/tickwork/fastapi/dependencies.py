"""What a job's function depends on, in FastAPI's words: a tree, found in the signatures once and filled for each run.

The rule: of FastAPI only what its users write is used (`Depends`, `dependency_overrides`), and none of its machinery,
which needs a request and is another one in each version.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from inspect import Parameter
from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

from fastapi.params import Body, Depends, Param
from fastapi.security import SecurityScopes
from starlette.applications import Starlette
from starlette.background import BackgroundTasks
from starlette.datastructures import State
from starlette.requests import HTTPConnection
from starlette.responses import Response

from tickwork.checks import shown
from tickwork.errors import InvalidJobError
from tickwork.executors.call import is_context
from tickwork.refs import Function
from tickwork.signatures import described, name_of, signature, split

NO_REQUEST = "there is no request in a run: let it take `app: FastAPI`, `state: State` or `run: RunContext` instead"

REFUSED: Mapping[type, str] = {
    HTTPConnection: NO_REQUEST,  # Request and WebSocket are such
    Response: "there is nobody to answer in a run: return what the job finds, and its ledger keeps it",
    BackgroundTasks: "a run is in the background already: call the task, or add a job for it",
    SecurityScopes: "nobody is to be let in: let it take what it is to work for as an argument of the job",
}
"""What FastAPI gives to dependencies and tickwork cannot; and what to do instead."""


class Kind(Enum):
    """How the value of a dependency is had."""

    FUNCTION = "function"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


class Given(Enum):
    """What tickwork itself knows."""

    RUN = "run"
    APP = "app"
    STATE = "state"


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """A function whose value others want, and what it wants itself."""

    call: Function
    kind: Kind
    wants: Wants


@dataclass(frozen=True, slots=True)
class Use:
    """The wish for a dependency's value: the run's one, or an own one."""

    dependency: Dependency
    use_cache: bool


@dataclass(frozen=True, slots=True)
class Known:
    """The wish for something that tickwork knows, if it does: what has a default can do without."""

    what: Given
    place: str
    has_default: bool


Wants: TypeAlias = "Mapping[str, Use | Known]"
"""What the parameters of a function wish for, by their names; those that are not there keep their defaults."""


def wants_of(func: Function) -> Wants:
    """What a job's function wishes for, beside its arguments and its RunContext.

    Raises InvalidJobError for a dependency that no run can be given.
    """
    wants = {}
    for parameter in signature(func).parameters.values():
        if isinstance(parameter.default, Param | Body):
            raise InvalidJobError(
                f"{_place(func, parameter)}: expected a plain default, got "
                f"{shown(parameter.default)}, which only a request fills: write Annotated[..., Query()] = 10"
            )
        want = _want_of(func, parameter, path=())
        if want is not None:
            wants[parameter.name] = want
    return wants


@lru_cache(10_000)
def dependency_of(call: Function) -> Dependency:
    """The tree below *call*. InvalidJobError if something in it cannot be had without a request, or for a circle."""
    return _dependency(call, ())


def _dependency(call: Function, path: tuple[Function, ...]) -> Dependency:
    """The tree below *call*, which those in *path* depend on."""
    if call in path:
        circle = " -> ".join(name_of(each) for each in (*path[path.index(call) :], call))
        raise InvalidJobError(f"Depends: expected a tree of dependencies, got a circle: {circle}: break it open")
    wants = {}
    for parameter in signature(call).parameters.values():
        want = _want_of(call, parameter, path=(*path, call))
        if want is not None:
            wants[parameter.name] = want
        elif not _is_optional(parameter):
            raise InvalidJobError(
                f"{_place(call, parameter)}: expected Depends(...), RunContext, "
                f"FastAPI, State or a default, got {_shown_parameter(parameter)}, which a request would fill, and "
                f"there is none in a run: give it a default, or make it an argument of the job"
            )
    return Dependency(call, _kind_of(call), wants)


def _want_of(func: Function, parameter: Parameter, path: tuple[Function, ...]) -> Use | Known | None:
    """What a parameter of *func* wishes for; *path* leads to it from the job. None: an argument, or its default."""
    depends = _marker_of(parameter)
    if depends is not None:
        call = depends.dependency or split(parameter.annotation)[0]
        _check_usable(func, parameter, depends, call)
        return Use(_dependency(call, path), depends.use_cache)
    _check_fillable(func, parameter)
    place, has_default = _place(func, parameter), parameter.default is not Parameter.empty
    if path and is_context(parameter.annotation):  # the job's own is given by the core
        return Known(Given.RUN, place, has_default)
    kinds = _classes_in(parameter)
    if any(issubclass(kind, Starlette) for kind in kinds):
        return Known(Given.APP, place, has_default)
    if any(issubclass(kind, State) for kind in kinds):
        return Known(Given.STATE, place, has_default)
    return None


def _marker_of(parameter: Parameter) -> Depends | None:
    _, beside = split(parameter.annotation)
    markers = [word for word in (*beside, parameter.default) if isinstance(word, Depends)]
    return markers[-1] if markers else None


def _check_usable(func: Function, parameter: Parameter, depends: Depends, call: object) -> None:
    place = _place(func, parameter)
    if not callable(call) or isinstance(call, str) or call is Parameter.empty:
        raise InvalidJobError(
            f"{place}: expected a function or class to depend on, got {shown(call)}: write Depends(get_session)"
        )
    limit = getattr(depends, "max_concurrency", None)  # a word of newer versions
    if limit is not None:
        raise InvalidJobError(
            f"{place}: expected a dependency without max_concurrency, got {limit}, which FastAPI counts over requests "
            f"alone: limit the job with max_instances, and write another Depends({name_of(call)}) for it"
        )


def _check_fillable(func: Function, parameter: Parameter) -> None:
    """InvalidJobError for a parameter that only a request could fill."""
    place = _place(func, parameter)
    for kind in _classes_in(parameter):
        for refused, cure in REFUSED.items():
            if issubclass(kind, refused):
                raise InvalidJobError(f"{place}: expected what a run can be given, got {kind.__name__}: {cure}")


def _place(func: Function, parameter: Parameter) -> str:
    return f"parameter {parameter.name!r} of {name_of(func)}"


def _is_optional(parameter: Parameter) -> bool:
    """Whether it can be left out: it has a default that is none of FastAPI's words for a part of a request."""
    if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
        return True
    _, beside = split(parameter.annotation)
    reads_request = any(isinstance(word, Param | Body) for word in (*beside, parameter.default))
    return parameter.default is not Parameter.empty and not reads_request


def _classes_in(parameter: Parameter) -> Collection[type]:
    """The classes that an annotation names: one, or those of a union."""
    kind, _ = split(parameter.annotation)
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return [part for part in parts if inspect.isclass(part) and get_origin(part) is None]


def _shown_parameter(parameter: Parameter) -> str:
    if parameter.annotation is Parameter.empty:
        return "a bare name" if parameter.default is Parameter.empty else shown(parameter.default)
    kind, beside = split(parameter.annotation)
    return " ".join([described(kind), *map(shown, beside)])


def _kind_of(call: Function) -> Kind:
    """How a call of it gives its value, judged as FastAPI does: by the function itself, or what it wraps."""
    inner = call
    while isinstance(inner, functools.partial):
        inner = inner.func
    candidates: list[Callable[..., Any]] = [inner, inspect.unwrap(inner)]
    if not inspect.isclass(inner) and not inspect.isroutine(inner):
        candidates.append(type(inner).__call__)
    if any(map(inspect.isasyncgenfunction, candidates)):
        return Kind.ASYNC_GENERATOR
    if any(map(inspect.isgeneratorfunction, candidates)):
        return Kind.GENERATOR
    if any(map(inspect.iscoroutinefunction, candidates)):
        return Kind.COROUTINE
    return Kind.FUNCTION
