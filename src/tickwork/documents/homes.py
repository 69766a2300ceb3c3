"""Where an index lives: in a folder of this process, in a server that one of the processes keeps, at a URL.

The rule: whatever happens to a home, the catalogue stays. A folder that cannot be used is left for a new one, and the
catalogue is told that its index lies behind (`index_behind`), until someone has filled it again.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Protocol
from urllib.error import URLError
from urllib.request import urlopen

from tickwork.documents.catalogue import Catalogue
from tickwork.documents.catalogue.sqlite import SQLiteCatalogue
from tickwork.documents.chroma import Chroma, Name, probe
from tickwork.documents.errors import DocumentsInUseError, IndexUnusableError
from tickwork.documents.locks import FolderLock

START_PATIENCE = 30.0
"""Seconds until a server that was started must answer."""
TIME_TO_END = 15.0
NAP = 0.02
TRIES = 3
"""A free port may be taken by another process before the server has it."""
IN_WAY_OF_ENV = ("CHROMA_", "RUST_LOG")

log = logging.getLogger("tickwork.documents")


class Sweep(Enum):
    """What became of the files of former indexes."""

    DONE = auto()
    REOPEN = auto()
    """They are gone, and so is the database that had them open: open it again."""
    NOT_OURS = auto()
    """The server that has them open is kept by another process."""


class Home(Protocol):
    """Used by one thread at a time."""

    @property
    def ours(self) -> bool:
        """Whether this process keeps what has the folder open."""
        ...

    def sweep(self) -> Sweep:
        """Remove the files of collections that were deleted, which Chroma leaves."""
        ...

    def open(self) -> Chroma:
        """The database in it. May take seconds. Raises IndexUnusableError, or DocumentsInUseError."""
        ...

    def renew(self) -> Chroma:
        """The database in which an index is to be built anew; the former one may go on being used meanwhile."""
        ...

    def settle(self) -> None:
        """What was built anew is in use: the former may go."""
        ...

    def close(self, *, clean: bool) -> None: ...


class Folders:
    """The folders of a catalogue's indexes, of which one is in use. To be touched by who holds `lock` alone."""

    def __init__(self, catalogue: SQLiteCatalogue, name: Callable[[], Name]) -> None:
        path = catalogue.path
        self._path = path
        self._catalogue = catalogue
        self._name = name
        self.lock = FolderLock(path.with_name(f"{path.name}.index-lock"))

    def current(self) -> Path:
        return self._path.with_name(f"{self._path.name}.index-{self._catalogue.meta('folder')}")

    def examined(self) -> Path:
        """The one in use. If it was not closed, it is tried first, and left for another if it cannot be used."""
        if self._catalogue.meta("index_in_use"):
            self._catalogue.note(index_behind=1)
            trouble = probe(self.current(), self._name()) if self.current().exists() else None
            if trouble is not None:
                log.error("index in %s cannot be used, and is built anew: %s", self.current(), trouble)
                self.advance()
        self.remove_others()
        _remove_orphans(self.current())
        self._catalogue.note(index_in_use=1)
        return self.current()

    def advance(self) -> None:
        """Use another folder from now on, and another collection."""
        number = self._catalogue.meta("folder") + 1
        self._catalogue.note(folder=number, generation=self._catalogue.meta("generation") + 1, index_behind=1)
        shutil.rmtree(self.current(), ignore_errors=True)

    def remove_others(self) -> None:
        """Left behind by those who built anew, or were killed while they did."""
        for other in self._path.parent.glob(f"{self._path.name}.index-*"):
            if other.is_dir() and other != self.current():
                shutil.rmtree(other, ignore_errors=True)

    def closed(self, *, clean: bool) -> None:
        if clean:
            self._catalogue.note(index_in_use=0)
        self.lock.give_back()


class EmbeddedHome:
    """A folder that this process alone has open."""

    ours = True

    def __init__(self, catalogue: SQLiteCatalogue, name: Callable[[], Name]) -> None:
        self._folders = Folders(catalogue, name)
        self._chroma: Chroma | None = None
        self._former: Chroma | None = None

    def open(self) -> Chroma:
        self._leave()
        if not self._folders.lock.take():
            raise DocumentsInUseError(
                "expected to be the only process with the embedded index open, got another one: index='managed' serves "
                "any number of them on one machine, so does index='exact', and a URL names a Chroma server"
            )
        self._chroma = Chroma(self._folders.examined())
        return self._chroma

    def renew(self) -> Chroma:
        self._former, self._chroma = self._chroma, None
        self._folders.advance()
        self._chroma = Chroma(self._folders.current())
        return self._chroma

    def settle(self) -> None:
        if self._former is not None:
            self._former.close()
            self._former = None
        self._folders.remove_others()

    def sweep(self) -> Sweep:
        return Sweep.DONE  # what is built anew has a folder of its own

    def close(self, *, clean: bool) -> None:
        self._leave()
        self._folders.closed(clean=clean)

    def _leave(self) -> None:
        for chroma in (self._former, self._chroma):
            if chroma is not None:
                chroma.close()
        self._former = self._chroma = None


class ManagedHome:
    """A server on a loopback port that one of the processes keeps, and all of them find through the catalogue.

    Whoever finds none that answers, and gets the lock, starts one. So it is restarted when it dies, and taken over when
    its owner does.
    """

    def __init__(self, catalogue: SQLiteCatalogue, name: Callable[[], Name]) -> None:
        self._catalogue = catalogue
        self._folders = Folders(catalogue, name)
        self._guard = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._chroma: Chroma | None = None

    def open(self) -> Chroma:
        until = time.monotonic() + START_PATIENCE
        while True:
            url = self._catalogue.meta("server")
            if url is not None and _answers(url):
                break
            self._end_server()
            if self._folders.lock.take():
                url = self._start()
                break
            if time.monotonic() > until:
                raise IndexUnusableError(
                    f"expected the Chroma server of another process to answer at {url}, got nothing for "
                    f"{START_PATIENCE:.0f} s: every vector is compared until it does"
                )
            time.sleep(NAP)
        self._leave()
        self._chroma = Chroma(url)
        return self._chroma

    def renew(self) -> Chroma:
        """In the same server: all others use it meanwhile."""
        self._catalogue.note(generation=self._catalogue.meta("generation") + 1, index_behind=1)
        return self._chroma or self.open()

    def settle(self) -> None:
        """The server goes on with the same folder."""

    @property
    def ours(self) -> bool:
        return self._server is not None

    def sweep(self) -> Sweep:
        """Only while no server runs: it has them open. Searches compare every vector until the next one answers."""
        if not orphans(self._folders.current()):
            return Sweep.DONE
        if not self.ours:
            return Sweep.NOT_OURS
        self._leave()
        self._end_server()
        if self._folders.lock.take():  # otherwise another process has begun to start one, and removes them
            _vacuum(self._folders.current())
        return Sweep.REOPEN

    def close(self, *, clean: bool) -> None:
        self._leave()
        self._end_server()

    def _leave(self) -> None:
        if self._chroma is not None:
            self._chroma.close()
            self._chroma = None

    def _start(self) -> str:
        folder = self._folders.examined()
        for _ in range(TRIES):
            port = _free_port()
            server = self._run(folder, port)
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + START_PATIENCE
            while server.poll() is None and time.monotonic() < until:
                if _answers(url):
                    self._catalogue.note(server=url)
                    log.info("serving the index in %s at %s", folder, url)
                    return url
                time.sleep(NAP)
            self._end_server()
            if not self._folders.lock.take():  # another process has begun to start one
                break
        self._folders.lock.give_back()
        told = self._log().read_text("utf-8", "replace")[-300:] if self._log().exists() else ""
        raise IndexUnusableError(f"expected `chroma run` to serve {folder}, got: {told.strip() or 'no answer'}")

    def _run(self, folder: Path, port: int) -> subprocess.Popen[bytes]:
        lock = self._folders.lock.file
        assert lock is not None
        environment = {key: value for key, value in os.environ.items() if not key.startswith(IN_WAY_OF_ENV)}
        with self._log().open("wb") as output:
            server = subprocess.Popen(  # noqa: S603  this interpreter, and arguments of our own
                [sys.executable, "-m", "tickwork.documents.serving", str(folder), str(port), str(lock)],
                stdin=subprocess.PIPE, stdout=output, stderr=output, pass_fds=[lock], start_new_session=True,
                env={**environment, "RUST_LOG": "warn"},
            )  # fmt: skip
        with self._guard:
            self._server = server
        threading.Thread(target=self._watch, args=(server,), name="tickwork-index-server", daemon=True).start()
        return server

    def _watch(self, server: subprocess.Popen[bytes]) -> None:
        """A server that has died by itself is anybody's to start again."""
        server.wait()
        with self._guard:
            if self._server is server:
                self._server = None
                log.error("the Chroma server of %s has ended with %s", self._folders.current(), server.returncode)
                self._folders.closed(clean=False)

    def _end_server(self) -> None:
        """End the server if it is ours, and let others start one."""
        with self._guard:
            server, self._server = self._server, None
        if server is None:
            return
        assert server.stdin is not None
        with suppress(OSError):
            server.stdin.close()
        try:
            clean = server.wait(TIME_TO_END) == 0
        except subprocess.TimeoutExpired:
            server.kill()
            clean = False
        self._folders.closed(clean=clean)

    def _log(self) -> Path:
        return self._catalogue.path.with_name(f"{self._catalogue.path.name}.index-log")


class ServerHome:
    """A Chroma server that somebody else keeps, at a URL."""

    def __init__(self, catalogue: Catalogue, url: str) -> None:
        self._catalogue = catalogue
        self._url = url
        self._chroma: Chroma | None = None

    def open(self) -> Chroma:
        self.close(clean=True)
        self._chroma = Chroma(self._url)
        return self._chroma

    def renew(self) -> Chroma:
        self._catalogue.note(generation=self._catalogue.meta("generation") + 1, index_behind=1)
        return self._chroma or self.open()

    def settle(self) -> None:
        """Its folders are its own."""

    ours = False

    def sweep(self) -> Sweep:
        return Sweep.DONE

    def close(self, *, clean: bool) -> None:
        if self._chroma is not None:
            self._chroma.close()
            self._chroma = None


def orphans(folder: Path) -> list[Path]:
    """The files of collections that were deleted, which Chroma leaves."""
    database = folder / "chroma.sqlite3"
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            known = {name for (name,) in connection.execute("select id from segments")}
    except sqlite3.Error:  # another version keeps them in another way
        return []
    return [kept for kept in folder.iterdir() if kept.is_dir() and kept.name not in known]


def _remove_orphans(folder: Path) -> None:
    for orphan in orphans(folder):
        shutil.rmtree(orphan, ignore_errors=True)


def _vacuum(folder: Path) -> None:
    """Write Chroma's own file anew, without the room of what was deleted; nobody has it open."""
    try:
        with closing(sqlite3.connect(f"{(folder / 'chroma.sqlite3').as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("vacuum")
    except sqlite3.Error:  # a full disk, for one: it stays as it was
        log.warning("the file of the index in %s could not be written anew", folder, exc_info=True)


def _answers(url: str) -> bool:
    """Whether a Chroma server is there."""
    try:
        with urlopen(f"{url}/api/v2/heartbeat", timeout=2) as answer:  # noqa: S310  a loopback address of our own
            return answer.status == 200 and b"heartbeat" in answer.read(1000)
    except (URLError, OSError, ValueError):
        return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
