"""The Redis server of the benchmarks: Valkey on this machine, which syncs its log to the disk once a second.

The parent process starts it when the first case asks for it; the process of a case has a database of its own there, by
its number.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from itertools import count
from urllib.parse import urlsplit

from redis import Redis
from tests.servers import RedisServer

KEPT = "Redis"
VARIABLE = "TICKWORK_BENCHMARK_REDIS_URL"
EVERY_SECOND = {
    "save": "", "appendonly": "yes", "appendfsync": "everysec", "auto-aof-rewrite-percentage": "0",
    "databases": "10000",
}  # fmt: skip
"""Its log is not rewritten when it has doubled: one case would pay for what those before it have left."""

numbers = count()


@cache
def server() -> RedisServer:
    """The server, started if it is not yet."""
    started = RedisServer(EVERY_SECOND).__enter__()
    atexit.register(started.__exit__)
    return started


def next_database_url() -> str:
    """The URL of a database for the next case."""
    return server().url(next(numbers))


def database_url() -> str:
    """The database of this case."""
    return os.environ[VARIABLE]


def settle_down() -> None:
    """Let the server's disk have what was added, so that nobody pays for that while firing."""
    with Redis(**place()) as client:
        client.execute_command("WAITAOF", 1, 0, 5_000)


def place() -> dict[str, str | int]:
    """The same, as APScheduler is told of it."""
    parts = urlsplit(database_url())
    return {"host": str(parts.hostname), "port": int(parts.port or 0), "db": int(parts.path[1:])}
