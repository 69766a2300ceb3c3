"""How the processes on one file wake each other: a named pipe each, in a folder beside the file.

A ring is a hint that something may be due earlier than thought. A lost one costs a poll and nothing
else, so every failure here is quiet: without pipes (Windows, a read-only folder) polling does it all.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

RING = b"!"
SUFFIX = ".bell"


class Doorbell:
    """This process's pipe, and the way to those of the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._pipe: int | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def listen(self, ring: Callable[[], None]) -> None:
        """Call *ring*, on a thread of its own, whenever another process rings."""
        if not hasattr(os, "mkfifo"):
            return
        name = secrets.token_hex(8)
        hidden = self._folder / f".{name}"
        try:
            os.mkfifo(hidden, 0o660)
            # For reading and writing: so it never ends, and there is a reader before others see the name.
            self._pipe = os.open(hidden, os.O_RDWR | os.O_CLOEXEC)
            self._path = hidden.rename(self._folder / f"{name}{SUFFIX}")
        except OSError:
            self.close()
            return
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=_answer, args=(self._pipe, ring, self._closing), name="tickwork-doorbell", daemon=True
        )
        self._thread.start()

    def ring_others(self) -> None:
        """Wake every other process that listens in this folder; clear away the pipes of the dead."""
        try:
            bells = [bell for bell in self._folder.iterdir() if bell.suffix == SUFFIX and bell != self._path]
        except OSError:
            return
        for bell in bells:
            _ring(bell)

    def close(self) -> None:
        """Stop listening."""
        with self._lock:  # a shutdown and its caller may both come here
            path, pipe, thread = self._path, self._pipe, self._thread
            self._path = self._pipe = self._thread = None
        if path is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if pipe is not None:
            if thread is not None:
                self._closing.set()
                os.write(pipe, RING)
                thread.join()  # only then is the number free for another file
            os.close(pipe)


def _answer(pipe: int, ring: Callable[[], None], closing: threading.Event) -> None:
    while os.read(pipe, 4096) and not closing.is_set():
        ring()


def _ring(bell: Path) -> None:
    try:
        pipe = os.open(bell, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a pipe without a reader: its process is gone
            with suppress(OSError):
                bell.unlink(missing_ok=True)
        return
    try:
        if stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.write(pipe, RING)
    except OSError:
        pass  # full of rings that were not answered yet, or gone this moment
    finally:
        os.close(pipe)
