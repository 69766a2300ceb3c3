"""The dependencies of one run: their values, and their cleaning up in every ending.

The rule: what was begun is ended, the last first and each whatever the others do, with the error that ended the run if
one did. No dependency can hide that error: a run that failed has failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from inspect import iscoroutine
from types import AsyncGeneratorType
from typing import Any, NamedTuple, TypeAlias, TypeVar, assert_never

from starlette.datastructures import State

from tickwork.errors import DependencyError
from tickwork.executors.call import RunContext
from tickwork.executors.injection import Surroundings
from tickwork.fastapi.callers import Caller, OverdueError
from tickwork.fastapi.dependencies import Dependency, Given, Kind, Known, Use, Wants, dependency_of
from tickwork.signatures import name_of

MAX_CLEANUP = 30.0
"""Seconds that a dependency may take to clean up, where it can be left alone after them."""

AnyGenerator: TypeAlias = Generator[Any, Any, Any] | AsyncGenerator[Any, Any]
G = TypeVar("G", bound=AnyGenerator)

log = logging.getLogger("tickwork.run")


@asynccontextmanager
async def opened(
    wants: Wants, run: RunContext, surroundings: Surroundings, caller: Caller
) -> AsyncIterator[Mapping[str, Any]]:  # fmt: skip
    """The values of *wants* for one run; what yielded them is cleaned up when this is left, however it is."""
    scope = Scope(run, surroundings, caller)
    try:
        yield await scope.values_of(wants)
    except BaseException as error:
        await scope.close(error)
        raise
    await scope.close(None)


class Begun(NamedTuple):
    """A dependency that goes on after its `yield` when the run has ended."""

    name: str
    generator: AnyGenerator


class Scope:
    """What one run has been given so far."""

    def __init__(self, run: RunContext, surroundings: Surroundings, caller: Caller) -> None:
        self._run = run
        self._surroundings = surroundings
        self._caller = caller
        self._overrides: Mapping[Any, Any] = getattr(surroundings.app, "dependency_overrides", {})
        self._values: dict[Any, Any] = {}
        self._begun: list[Begun] = []

    async def values_of(self, wants: Wants) -> dict[str, Any]:
        """What is wished for, by the names of the parameters."""
        values = {}
        for name, want in wants.items():
            if isinstance(want, Use):
                values[name] = await self._value_of(want)
            elif (known := self._known(want)) is not None:
                values[name] = known
        return values

    async def close(self, error: BaseException | None) -> None:
        """End what was begun. Raises what is raised meanwhile; a cancellation goes on being one."""
        latest = error
        while self._begun:
            begun = self._begun.pop()
            try:
                await self._end(begun, latest)
            except BaseException as worse:
                if isinstance(latest, asyncio.CancelledError) and isinstance(worse, Exception):
                    log.exception("run %s: dependency %s, while the run was cancelled", self._run.id, begun.name)
                else:
                    latest = worse
        if latest is not None and latest is not error:
            raise latest

    async def _value_of(self, use: Use) -> Any:
        wanted = use.dependency.call
        if use.use_cache and wanted in self._values:
            return self._values[wanted]
        override = self._overrides.get(wanted)
        dependency = use.dependency if override is None else dependency_of(override)
        values = await self.values_of(dependency.wants)
        with _named(dependency):
            value = await self._make(dependency, values)
        self._values.setdefault(wanted, value)
        return value

    async def _make(self, dependency: Dependency, values: Mapping[str, Any]) -> Any:
        name, call = name_of(dependency.call), partial(dependency.call, **values)
        match dependency.kind:
            case Kind.FUNCTION:
                value = await self._caller.call(call)
                return await self._caller.wait(value) if iscoroutine(value) else value
            case Kind.COROUTINE:
                return await self._caller.wait(call())
            case Kind.GENERATOR:
                generator: Generator[Any, Any, Any] = self._begin(name, call())
                return await self._caller.call(partial(first_of, name, generator))
            case Kind.ASYNC_GENERATOR:
                return await self._caller.wait(first_of_async(name, self._begin(name, call())))
            case _:
                assert_never(dependency.kind)

    def _begin(self, name: str, generator: G) -> G:
        """Put it down as begun before it begins: what is cancelled on its way to its `yield` is cleaned up, too."""
        self._begun.append(Begun(name, generator))
        return generator

    async def _end(self, begun: Begun, error: BaseException | None) -> None:
        name, generator = begun
        try:
            if isinstance(generator, AsyncGenerator):
                await self._caller.wait(end_async(name, generator, error), limit=MAX_CLEANUP)
            else:
                await self._caller.call(partial(end, name, generator, error), limit=MAX_CLEANUP)
        except OverdueError:
            raise DependencyError(
                f"dependency {name}: expected to be cleaned up within {MAX_CLEANUP:g} s, got no end: it is left alone, "
                f"look for what it waits for after its yield"
            ) from None

    def _known(self, want: Known) -> Any:
        """What tickwork knows. None if it does not, and the parameter has a default."""
        match want.what:
            case Given.RUN:
                return self._run
            case Given.APP:
                found = self._surroundings.app
            case Given.STATE:
                state = self._surroundings.state
                found = None if state is None else State(dict(state))
            case _:
                assert_never(want.what)
        if found is None and not want.has_default:
            raise DependencyError(
                f"{want.place}: expected the {want.what.value} of the lifespan in which the scheduler runs, got a "
                f"scheduler in none: start it with lifespan(scheduler), or give the parameter a default"
            )
        return found


def first_of(name: str, generator: Generator[Any, Any, Any]) -> Any:
    """What a dependency yields."""
    for value in generator:
        return value
    raise _yields_nothing(name)


async def first_of_async(name: str, generator: AsyncGenerator[Any, Any]) -> Any:
    async for value in generator:
        return value
    raise _yields_nothing(name)


def end(name: str, generator: Generator[Any, Any, Any], error: BaseException | None) -> None:
    """Let a dependency go on after its `yield`, where *error* is raised if the run ended with one."""
    with _passing_on(error):
        try:
            if error is None:
                next(generator)
            else:
                generator.throw(error)
        except StopIteration:
            return
        with suppress(RuntimeError):  # it yields even while it is closed
            generator.close()
        raise _yields_twice(name)


async def end_async(name: str, generator: AsyncGenerator[Any, Any], error: BaseException | None) -> None:
    if isinstance(generator, AsyncGeneratorType) and generator.ag_frame is None:
        return  # it ended before its `yield`, and would swallow what is thrown into it now
    with _passing_on(error):
        try:
            if error is None:
                await anext(generator)
            else:
                await generator.athrow(error)
        except StopAsyncIteration:
            return
        with suppress(RuntimeError):
            await generator.aclose()
        raise _yields_twice(name)


@contextmanager
def _passing_on(error: BaseException | None) -> Iterator[None]:
    """What a generator does with the *error* that is thrown into it: one that comes out again is as it was."""
    traceback = error.__traceback__ if error else None
    try:
        yield
    except BaseException as raised:
        wrapped = isinstance(raised, RuntimeError) and raised.__cause__ is error  # StopIteration, by PEP 479
        if error is None or not (raised is error or wrapped):
            raise
        error.__traceback__ = traceback


@contextmanager
def _named(dependency: Dependency) -> Iterator[None]:
    """Say in the traceback of what a dependency raises whose it is."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the dependency {name_of(dependency.call)}")
        raise


def _yields_nothing(name: str) -> DependencyError:
    return DependencyError(f"dependency {name}: expected one yield, got none: yield the value, or return it")


def _yields_twice(name: str) -> DependencyError:
    return DependencyError(
        f"dependency {name}: expected one yield, got another one after it: what cleans up yields nothing"
    )
