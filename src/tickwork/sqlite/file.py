"""The database file, and this process's two connections to it: one to write, one to read.

The rule: a fault closes the connection it happened on, and the next call opens another. So whatever
was wrong (a lock, a full disk, a missing right) is over as soon as it is over.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from tickwork.errors import SchedulerError, StoreUnavailableError, StoreUnusableError
from tickwork.sqlite.lent import LentConnection
from tickwork.sqlite.turn import PATIENCE, Turn

CACHE_KIB = 32 * 1024
"""How much of the file each connection may keep in memory: SQLite's own 2 MiB hold some 4,000 jobs."""
CHECKPOINT_PAGES = 4_000
"""How large the write-ahead log grows before it is folded into the file: 16 MiB, since a ledger writes the
same pages again and again."""

AnyConnection = TypeVar("AnyConnection", bound=sqlite3.Connection)


@dataclass(slots=True)
class Together:
    """A transaction that one thread shares among all that it writes; *stack* ends it."""

    stack: ExitStack
    connection: sqlite3.Connection | None = None
    """None: nothing was written yet."""


class OfThisThread(threading.local):
    together: Together | None = None


class DatabaseFile:
    """A SQLite file in WAL mode. Its writers take turns by the lock file *turn*.

    Each commit is on the disk before it returns; unless *synced* is False, then only those that ask for it.

    A fork waits until no thread is inside SQLite, whose own locks the child would inherit, held for ever.
    """

    def __init__(self, path: Path, turn: Path, *, synced: bool = True) -> None:
        self.path = path
        self._synced = synced
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._turn = Turn(turn)
        self._of_this_thread = OfThisThread()
        self._identity: tuple[int, int] | None = None
        _files.add(self)

    @property
    def locks(self) -> tuple[threading.Lock, threading.Lock]:
        """Held while a thread of this process writes, or reads."""
        return self._write_lock, self._read_lock

    @contextmanager
    def writing(self, *, create: bool = False, synced: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the file's write lock from its begin: committed at the end, or undone.

        Inside of `together` a part of that one, undone alone if it fails. With *create* the file is made if
        there is none, with *synced* it is on the disk afterwards. Raises StoreUnavailableError.
        """
        together = self._of_this_thread.together
        if together is None:
            with self._transaction(create=create, synced=synced) as connection:
                yield connection
            return
        together.connection = together.connection or together.stack.enter_context(self._transaction())
        with self._part(together.connection) as connection:
            yield connection

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that this thread writes inside is one transaction, which its first `writing` begins."""
        assert self._of_this_thread.together is None, "together is not nested"
        with ExitStack() as stack:
            self._of_this_thread.together = Together(stack)
            try:
                yield
            finally:
                self._of_this_thread.together = None

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A transaction for a stranger, on a connection of its own: committed at the end, or undone.

        All that this thread writes and reads inside is part of it. Raises StoreUnavailableError for what fails before
        and after; what fails inside is passed on.
        """
        if self._of_this_thread.together is not None:
            raise SchedulerError("run.transaction(): expected one at a time, got one inside of another")
        with self._turn_taken():
            with self._named_faults():
                connection = self._connect(LentConnection)
            try:
                with self._named_faults():
                    self._check_identity()
                    connection.execute("begin immediate")
                self._of_this_thread.together = Together(ExitStack(), connection)
                connection.lend()
                yield connection
                connection.take_back()
                with self._named_faults():
                    connection.execute("commit")
            finally:
                self._of_this_thread.together = None
                connection.take_back()
                connection.close()  # which undoes what was not committed

    @contextmanager
    def _turn_taken(self) -> Iterator[None]:
        """Alone in this process, and with this process's turn."""
        if not self._write_lock.acquire(timeout=2 * PATIENCE):
            raise self._unavailable(f"no turn within {2 * PATIENCE} s")
        try:
            with self._named_faults():
                self._turn.take()
            try:
                yield
            finally:
                self._turn.give_back()
        finally:
            self._write_lock.release()

    @contextmanager
    def _named_faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def _part(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """A stretch of a transaction that can be undone alone."""
        if not connection.in_transaction:  # SQLite has undone it by itself, and what follows would be committed alone
            raise self._unavailable("a transaction that was rolled back")
        try:
            connection.execute("savepoint part")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback to part")
                connection.execute("release part")
                raise
            connection.execute("release part")
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def _transaction(self, *, create: bool = False, synced: bool = False) -> Iterator[sqlite3.Connection]:
        with self._turn_taken():
            try:
                self._writer = self._writer or self._connect(sqlite3.Connection, create=create)
                self._check_identity()
                if synced and not self._synced:
                    self._writer.execute("pragma synchronous = full")
                try:
                    self._writer.execute("begin immediate")
                    try:
                        yield self._writer
                    except BaseException:
                        self._writer.execute("rollback")
                        raise
                    self._writer.execute("commit")
                finally:
                    if synced and not self._synced:
                        self._writer.execute("pragma synchronous = normal")
            except StoreUnavailableError:  # in a part of it
                self._close_writer()
                raise
            except (sqlite3.Error, OSError) as error:
                self._close_writer()
                raise self._unavailable(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read from; it never waits for a writer. Raises StoreUnavailableError.

        Inside of `together` it sees what was written there, and finds its pages still in memory.
        """
        together = self._of_this_thread.together
        if together is not None and together.connection is not None:
            with self._part(together.connection) as connection:
                yield connection
            return
        if not self._read_lock.acquire(timeout=2 * PATIENCE):  # a signal handler may have interrupted its holder
            raise self._unavailable(f"no turn to read within {2 * PATIENCE} s")
        try:
            try:
                self._reader = self._reader or self._connect(sqlite3.Connection)
                self._check_identity()
                yield self._reader
            except (sqlite3.Error, OSError) as error:
                self._close_reader()
                raise self._unavailable(f"{type(error).__name__}: {error}") from error
        finally:
            self._read_lock.release()

    def vacuum(self) -> None:
        """Write the file anew without its empty pages, which takes as much room again meanwhile.

        Others go on reading, and wait to write, each for its patience. Raises StoreUnavailableError; then, and if the
        process is killed, the file is as it was.
        """
        with self._turn_taken(), self._named_faults():
            connection = self._connect(sqlite3.Connection)
            try:
                self._check_identity()
                connection.execute("vacuum")
                connection.execute("pragma wal_checkpoint(truncate)")  # what readers still need of it goes later
            finally:
                connection.close()

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._close_writer()
            self._close_reader()
            self._turn.close()
            self._identity = None

    def _connect(self, factory: type[AnyConnection], *, create: bool = False) -> AnyConnection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode={'rwc' if create else 'rw'}",
            uri=True, isolation_level=None, timeout=PATIENCE, check_same_thread=False, cached_statements=200,
            factory=factory,
        )  # fmt: skip
        try:
            (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
            if mode != "wal":
                raise StoreUnusableError(f"expected {self.path} to allow WAL, got the journal mode {mode!r}")
            connection.execute(f"pragma synchronous = {'full' if self._synced else 'normal'}")
            connection.execute("pragma foreign_keys = on")
            connection.execute(f"pragma cache_size = -{CACHE_KIB}")
            connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._identity = self._identity or _identity(self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_identity(self) -> None:
        """OSError if the path names another file by now: SQLite would go on writing into one that nobody sees."""
        if _identity(self.path) != self._identity:
            self._identity = None
            self._close_writer()
            self._close_reader()
            raise FileNotFoundError(f"{self.path} was replaced by another file")

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _unavailable(self, fault: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"expected to read and write {self.path}, got {fault}: it works again as soon as the file does"
        )


_files: WeakSet[DatabaseFile] = WeakSet()
_held: list[threading.Lock] = []


def _wait_for_files() -> None:
    """Before a fork: no other thread of this process is in the middle of anything."""
    for file in [*_files]:
        _held.extend(lock for lock in file.locks if lock.acquire(timeout=PATIENCE))


def _let_files_go() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_files, after_in_parent=_let_files_go, after_in_child=_let_files_go)


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  half the price of Path.stat, and asked at every turn
    return status.st_dev, status.st_ino
