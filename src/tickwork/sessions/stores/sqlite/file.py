"""The file of sessions, as this process sees it: opened at the first use, and opened anew in a forked child."""

from __future__ import annotations

import os
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock

from tickwork.errors import StoreUnavailableError, StoreUnusableError
from tickwork.sqlite.file import DatabaseFile
from tickwork.sqlite.place import check_place
from tickwork.sqlite.schema import upgrade

SCRIPTS = (Path(__file__).with_name("schema.sql"),)
"""What leads from each version to the next: the first script makes version 1 from nothing. A new one comes last."""
TABLE = "tickwork_sessions_schema"
"""Where the version is: jobs may be kept in the same file, and count for themselves."""


class SessionsFile:
    """The SQLite file at *path*, which is made if there is none."""

    _process: int
    _opened: bool
    _file: DatabaseFile

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.location = f"sqlite:///{self.path}"
        self._make_afresh()

    def open(self) -> None:
        self._check_process()
        with self._opening:
            if self._opened:
                return
            check_place(self.path)
            try:
                self._folder.mkdir(mode=0o770, exist_ok=True)
                self.path.touch(mode=0o660)
                with self._file.writing(create=True) as connection:
                    scripts = [script.read_text("utf-8") for script in SCRIPTS]
                    upgrade(connection, self.location, scripts, table=TABLE)
            except (OSError, StoreUnavailableError) as error:
                self._file.close()
                if "locked" in str(error):  # by someone who will be done: nothing is wrong with the place
                    raise
                raise StoreUnusableError(f"cannot keep sessions in {self.path}: {error}") from error
            self._opened = True

    def close(self) -> None:
        self._check_process()
        self._opened = False
        self._file.close()

    def writing(self, *, synced: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction to write in; with *synced* it is on the disk afterwards. Raises StoreUnavailableError."""
        self._check_process()
        return self._file.writing(synced=synced)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection to read from. Raises StoreUnavailableError."""
        self._check_process()
        return self._file.reading()

    @property
    def _folder(self) -> Path:
        return self.path.with_name(self.path.name + ".tickwork")

    def _make_afresh(self) -> None:
        self._process = os.getpid()
        self._opened = False
        self._opening = Lock()
        self._file = DatabaseFile(self.path, self._folder / "turn", synced=False)

    def _check_process(self) -> None:
        """Start anew in a forked child: SQLite's connections must not be used on both sides of a fork."""
        if self._process != os.getpid():
            self._left_to_parent = self._file  # closing it here would take the parent's locks
            self._make_afresh()
            self.open()
