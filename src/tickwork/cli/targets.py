"""What a command works on: the scheduler that MODULE:SCHEDULER names, the store that STORE names."""

from __future__ import annotations

import importlib
import inspect
import sqlite3
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tickwork.cli.arguments import UsageError
from tickwork.errors import TickworkError, did_you_mean
from tickwork.scheduler import BackgroundScheduler, Scheduler
from tickwork.stores import make_store
from tickwork.stores.base import Store

T = TypeVar("T")


def load_scheduler(target: str) -> Scheduler:
    """The scheduler at `module:name`, with the working directory first on the path; a function is called for it."""
    return load(target, Scheduler, "a scheduler", example="app.jobs:scheduler")


def load(target: str, kind: type[T], what: str, *, example: str) -> T:
    """What is at `module:name`, with the working directory first on the path; a function is called for it."""
    module_name, colon, name = target.partition(":")
    noun = what.rpartition(" ")[2]
    if not (module_name and colon and name):
        hint = f": write sqlite:///{target}" if Path(target).is_file() else f", as in {example}"
        raise UsageError(f"expected MODULE:{noun.upper()}, got {target!r}{hint}")
    import_from_here()
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
        if inspect.isroutine(found):
            found = found()
    except TickworkError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        raise _unloadable(target, error, kind, what) from error
    if not isinstance(found, kind):
        raise UsageError(f"expected {what} at {target!r}, got {type(found).__name__}: name the {noun} itself")
    return found


def import_from_here() -> None:
    """Look for modules in the working directory first."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _unloadable(target: str, error: Exception, kind: type, what: str) -> UsageError:
    module_name, _, name = target.partition(":")
    module = sys.modules.get(module_name)
    if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
        return UsageError(f"expected a module in {Path.cwd()} or on the path, got {module_name!r} in {target!r}")
    if isinstance(error, AttributeError) and error.obj is module is not None:
        known = [known for known, value in vars(module).items() if isinstance(value, kind)]
        return UsageError(f"expected {what} in {module_name}, got nothing called {name!r}{did_you_mean(name, known)}")
    places = [place for place in traceback.extract_tb(error.__traceback__) if "importlib" not in place.filename]
    where = f" at {places[-1].filename}:{places[-1].lineno}" if len(places) > 1 else ""
    return UsageError(f"expected to load {target!r}, got {type(error).__name__}{where}: {error}")


@contextmanager
def open_store(named: str) -> Iterator[Scheduler]:
    """A scheduler that is not started, on a store that exists. UsageError if it does not: looking makes none."""
    if "://" not in named:
        scheduler = load_scheduler(named)
        check_place(scheduler.health().store)
        yield scheduler
        return
    with closing(make_store(named)) as store:
        check_exists(store)
        yield BackgroundScheduler(store)


def check_exists(store: Store) -> None:
    """UsageError unless a scheduler has ever started on the store."""
    check_place(store.location)
    if not store.exists():
        raise UsageError(
            f"expected a store at {store.location}, got a server without one: it is made when a scheduler first "
            f"starts on it"
        )


def check_place(location: str) -> None:
    """UsageError unless *location* is one that other processes can see; if it is a file, unless that is a store."""
    if location == "memory":
        raise UsageError(
            "expected a store that other processes can see, got memory: give its scheduler sqlite:///jobs.db"
        )
    check_file(location, "tickwork_schema")


def check_file(location: str, table: str) -> None:
    """UsageError unless there is a file with that *table*, if *location* is a file's."""
    if not location.startswith("sqlite:///"):
        return
    path = Path(location.removeprefix("sqlite:///"))
    if not path.is_file():
        raise UsageError(f"expected a SQLite file at {path}, got none: it is made when a scheduler first starts on it")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute(f"select version from {table}")
    except sqlite3.Error as error:
        raise UsageError(f"expected a SQLite file with tickwork's tables at {path}, got: {error}") from None
