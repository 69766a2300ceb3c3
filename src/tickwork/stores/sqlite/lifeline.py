"""What tells the processes on one file at once that one of them has died: a lock file each, in a folder beside it.

The kernel lets go of a process's locks the moment it dies, and not before: one that is stopped keeps them, and is left
to its lease. Without such locks (Windows) leases do it all.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".life"
FORGOTTEN = 3600.0
"""Seconds after which the file of a dead process is cleared away: long after the last lease that it is asked for."""


class Lifeline:
    """This process's lock file in *folder*, and a look at those of the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file: int | None = None
        self.name = ""
        _lifelines.add(self)

    def hold(self) -> str:
        """The name under which others find what is held. Empty: it cannot be had."""
        if not self.name and fcntl is not None:
            with suppress(OSError):  # a full disk, a missing right: then the lease does it
                self._make()
                self._clear_away()
        return self.name

    def let_go(self) -> None:
        """In good order: so nobody takes this process for dead."""
        path, self._path, self.name = self._path, None, ""
        if path is not None:
            with suppress(OSError):
                path.unlink()
        self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def is_cut(self, name: str) -> bool:
        """Whether there is a lifeline of that name, and nobody holds it."""
        return _is_free(self._folder / f"{name}{SUFFIX}")

    def _make(self) -> None:
        """Locked before others see its name: so it is never there and free while this process lives."""
        assert fcntl is not None
        name = secrets.token_hex(8)
        hidden = self._folder / f".{name}"
        file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path = hidden.rename(self._folder / f"{name}{SUFFIX}")
        except BaseException:
            os.close(file)
            hidden.unlink(missing_ok=True)
            raise
        self._file, self.name = file, name

    def _clear_away(self) -> None:
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path.stat().st_mtime < time.time() - FORGOTTEN and _is_free(path):
                path.unlink()


def _is_free(path: Path) -> bool:
    if fcntl is None:
        return False
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # let go in good order, or somebody's mistake: no proof of a death
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


_lifelines: WeakSet[Lifeline] = WeakSet()


def _close_in_child() -> None:
    """A forked child would go on to hold what tells whether its parent lives."""
    for lifeline in [*_lifelines]:
        lifeline.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
