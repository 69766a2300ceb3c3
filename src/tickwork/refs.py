"""Functions by name: `module:qualname` <-> callable.

A job outlives the process that added it, so its function is kept as a name that every process can look up.
A script that is run is named as it would be imported: `python shop.py` and `uvicorn shop:app` mean the same.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickwork.errors import FunctionReferenceError

Function = Callable[..., Any]


def name_function(func: Function) -> str:
    """`module:qualname` of *func*.

    Raises FunctionReferenceError for what no other process could find by name: a lambda, a function
    inside a function, a bound method, a partial, an object.
    """
    if isinstance(func, functools.partial):
        raise _unnameable(func, "a partial", "define a function that makes this call, or pass args= and kwargs=")
    if inspect.ismethod(func):
        raise _unnameable(
            func, "a bound method", "its object exists only in this process: call it from a function of a module"
        )
    module, qualname = getattr(func, "__module__", None), getattr(func, "__qualname__", None)
    if not module or not qualname:
        raise _unnameable(func, "an object without a name", "define a function that calls it")
    if "<lambda>" in qualname:
        raise _unnameable(func, "a lambda", "define it with def at the top of a module")
    if "<locals>" in qualname:
        raise _unnameable(func, "a nested function", "move it to the top of its module")
    return f"{importable_name(module)}:{qualname}"


def find_function(ref: str) -> Function:
    """The callable that stands under *ref*; FunctionReferenceError if none does."""
    module_name, colon, qualname = ref.partition(":")
    if not colon or not module_name or not qualname:
        raise FunctionReferenceError(
            f"func: expected 'module:qualname', as in 'app.jobs:refresh', got {ref!r}: put a colon after the module"
        )
    try:
        found: Any = sys.modules["__main__"] if module_name == script_name() else importlib.import_module(module_name)
        for name in qualname.split("."):
            found = getattr(found, name, None)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported, or exit
        raise FunctionReferenceError(
            f"func: expected a module that can be imported, got {module_name!r} in {ref!r}, "
            f"which raised {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise FunctionReferenceError(
            f"func: expected a callable under {ref!r}, got {'nothing' if found is None else repr(found)}: "
            f"look for a typing error, or for a function that was renamed"
        )
    return found  # type: ignore[no-any-return]


def importable_name(module: str) -> str:
    """The name under which other processes import *module*: the script that runs is `__main__` only here."""
    return script_name() if module == "__main__" else module


def script_name() -> str:
    """The name under which the script that runs would be imported; `__main__` if it could not be."""
    main = sys.modules["__main__"]
    if main.__spec__ is not None:  # python -m package.module
        return main.__spec__.name
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"


def _unnameable(func: object, what: str, cure: str) -> FunctionReferenceError:
    code = getattr(func, "__code__", None)
    where = f" at {code.co_filename}:{code.co_firstlineno}" if code else f" {func!r}"
    return FunctionReferenceError(
        f"func: expected a function that other processes can find by name, got {what}{where}: {cure}"
    )
