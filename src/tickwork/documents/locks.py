"""Locks between processes: files that the system unlocks when their holders are gone, however they ended."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

try:
    import fcntl
except ImportError:  # Windows: Chroma's own files are open exclusively there
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Who holds it may open what lies in a folder. A child process that is given `file` holds it as well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.file: int | None = None
        """Its descriptor, while it is held."""
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether it is held by now; False if another process has it."""
        with self._lock:
            if self.file is None:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
                if fcntl is not None:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except OSError:
                        os.close(file)
                        return False
                self.file = file
            return True

    def give_back(self) -> None:
        with self._lock:
            if self.file is not None:
                os.close(self.file)
                self.file = None


class WriteTurn:
    """One process at a time writes: a sync, or who builds an index anew. The thread that has it may take it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._held = 0
        self._file: int | None = None

    def __enter__(self) -> Self:
        self._threads.acquire()
        try:
            if not self._held and fcntl is not None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
                fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._release()
            raise
        self._held += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held -= 1
        self._release()

    def _release(self) -> None:
        if not self._held and self._file is not None:
            os.close(self._file)
            self._file = None
        self._threads.release()
