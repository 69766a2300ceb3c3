"""What an app hands over: checked when `lifespan` and the routers are made, as FastAPI would find out later."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from fastapi.params import Depends

from tickwork.checks import shown
from tickwork.errors import SchedulerError
from tickwork.signatures import name_of


def check_inner(inner: object) -> None:
    """SchedulerError unless *inner* is None, or an app's lifespan as FastAPI takes it."""
    if inspect.isasyncgenfunction(inner):
        raise SchedulerError(
            f"lifespan: expected the app's own lifespan, got the generator {name_of(inner)}: "
            f"write @asynccontextmanager above it"
        )
    if inner is not None and not callable(inner):
        raise SchedulerError(
            f"lifespan: expected the app's own lifespan, got {shown(inner)}: pass the function, without calling it"
        )


def check_dependencies(place: str, dependencies: object, name: str = "dependencies") -> None:
    """SchedulerError unless they are None, or a list of `Depends(...)`."""
    if dependencies is None:
        return
    if not isinstance(dependencies, Sequence) or isinstance(dependencies, str):
        raise SchedulerError(f"{place}: expected {name}=[Depends(...)], got {shown(dependencies)}: put it into a list")
    for dependency in dependencies:
        check_depends(f"{place}: {name}", dependency)


def check_depends(place: str, dependency: object) -> None:
    """SchedulerError unless it is a `Depends(...)`."""
    if not isinstance(dependency, Depends):
        name = name_of(dependency) if callable(dependency) else "..."
        raise SchedulerError(f"{place}: expected Depends(...), got {shown(dependency)}: write Depends({name})")


def check_prefix(prefix: object) -> None:
    """SchedulerError unless a path can begin with it."""
    if not isinstance(prefix, str) or (prefix and not prefix.startswith("/")) or str(prefix).endswith("/"):
        raise SchedulerError(
            f"create_router: expected a prefix such as '/tickwork', got {shown(prefix)}: begin it with a slash, "
            f"and end it without"
        )
