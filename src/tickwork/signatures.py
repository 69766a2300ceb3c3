"""What functions say of their parameters: signatures, with the annotations evaluated that are written as text."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
from collections.abc import Mapping
from functools import lru_cache
from inspect import Parameter, Signature
from types import NoneType, SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tickwork.checks import shown
from tickwork.refs import Function

ANYTHING = Signature([Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)])
"""The signature of some functions written in C, which have none."""


@lru_cache(10_000)
def signature(func: Function) -> Signature:
    """The signature of *func*; an annotation that cannot be evaluated in its module stays the text it is."""
    try:
        found = inspect.signature(func)
    except (TypeError, ValueError):
        return ANYTHING
    return found.replace(
        parameters=[
            parameter.replace(annotation=evaluated(parameter.annotation, func))
            for parameter in found.parameters.values()
        ],
        return_annotation=evaluated(found.return_annotation, func),
    )


def evaluated(annotation: Any, func: Function) -> Any:
    """What *annotation* means where *func* was written: text in it is evaluated, if it has a meaning there."""
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        found = get_type_hints(holder, globalns=dict(_names_around(func)), include_extras=True)["it"]
    except Exception:  # noqa: BLE001  a name that is imported for type checkers alone, or any other expression
        return annotation
    return None if found is NoneType else found


def split(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type that an annotation names, and what `Annotated` says beside it."""
    if get_origin(annotation) is Annotated:
        kind, *beside = get_args(annotation)
        return kind, tuple(beside)
    return annotation, ()


def name_of(func: Function) -> str:
    """A function's name as an error shows it; that of its class if it is an object that can be called."""
    if isinstance(func, functools.partial):
        return name_of(func.func)
    return getattr(func, "__qualname__", None) or type(func).__name__


def described(annotation: Any) -> str:
    """An annotation as an error shows it: `date`, `list[datetime.date]`, `Order`."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return shown(annotation).replace("typing.", "")


def _names_around(func: Function) -> Mapping[str, Any]:
    """The names of the module that *func* was written in."""
    inner = inspect.unwrap(func)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    if not (inspect.isclass(inner) or inspect.isroutine(inner)):
        inner = type(inner).__call__
    names: Mapping[str, Any] | None = getattr(inner, "__globals__", None)
    return names if names is not None else vars(sys.modules.get(getattr(inner, "__module__", ""), builtins))
