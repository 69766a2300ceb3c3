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
from typing import Any

from tickwork.cli.arguments import UsageError
from tickwork.errors import TickworkError, did_you_mean
from tickwork.scheduler import BackgroundScheduler, Scheduler
from tickwork.stores import make_store


def load_scheduler(target: str) -> Scheduler:
    """The scheduler at `module:name`, with the working directory first on the path; a function is called for it."""
    found = load_from(target, "MODULE:SCHEDULER")
    if not isinstance(found, Scheduler):
        raise UsageError(f"expected a scheduler at {target!r}, got {type(found).__name__}: name the scheduler itself")
    return found


def load_from(target: str, form: str) -> Any:
    """What is at `module:name`, or what a function there gives. UsageError if nothing is to be had there."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        hint = f": write sqlite:///{target}" if Path(target).is_file() else ", as in app.jobs:scheduler"
        raise UsageError(f"expected {form}, got {target!r}{hint}")
    import_from_here()
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
        return found() if inspect.isroutine(found) else found
    except TickworkError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        raise _unloadable(target, error) from error


def import_from_here() -> None:
    """Look for modules in the working directory first."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _unloadable(target: str, error: Exception) -> UsageError:
    module_name, _, name = target.partition(":")
    module = sys.modules.get(module_name)
    if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
        return UsageError(f"expected a module in {Path.cwd()} or on the path, got {module_name!r} in {target!r}")
    if isinstance(error, AttributeError) and error.obj is module is not None:
        known = [known for known, value in vars(module).items() if isinstance(value, Scheduler)]
        return UsageError(
            f"expected a scheduler in {module_name}, got nothing called {name!r}{did_you_mean(name, known)}"
        )
    places = [place for place in traceback.extract_tb(error.__traceback__) if "importlib" not in place.filename]
    where = f" at {places[-1].filename}:{places[-1].lineno}" if len(places) > 1 else ""
    return UsageError(f"expected to load {target!r}, got {type(error).__name__}{where}: {error}")


@contextmanager
def open_store(named: str) -> Iterator[Scheduler]:
    """A scheduler that is not started, on a store that exists. UsageError if it does not: looking makes none."""
    if "://" not in named:
        scheduler = load_scheduler(named)
        _check_exists(scheduler.health().store)
        yield scheduler
        return
    with closing(make_store(named)) as store:
        _check_exists(store.location)
        yield BackgroundScheduler(store)


def _check_exists(location: str) -> None:
    if location == "memory":
        raise UsageError(
            "expected a store that other processes can see, got memory: give its scheduler sqlite:///jobs.db"
        )
    if not location.startswith("sqlite:///"):
        return
    path = Path(location.removeprefix("sqlite:///"))
    if not path.is_file():
        raise UsageError(f"expected a SQLite file at {path}, got none: it is made when a scheduler first starts on it")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("select version from tickwork_schema")
    except sqlite3.Error as error:
        raise UsageError(f"expected a SQLite file with tickwork's tables at {path}, got: {error}") from None
