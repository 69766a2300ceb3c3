"""The PostgreSQL server of the benchmarks: durable, on this machine; ours and the peers' databases are all on it.

The parent process starts it when the first case asks for it; the process of a case makes a database of its own there.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from urllib.parse import urlsplit

from tests.servers import DURABLE, PostgreSQLServer, new_database

KEPT = "PostgreSQL"
VARIABLE = "TICKWORK_BENCHMARK_POSTGRESQL_URL"


@cache
def server_url() -> str:
    """Where the server is, started if it is not yet."""
    server = PostgreSQLServer(DURABLE)
    atexit.register(server.__exit__)
    return server.__enter__().url()


@cache
def database_url() -> str:
    """The database of this case."""
    return new_database(os.environ[VARIABLE])


def sqlalchemy_url() -> str:
    return urlsplit(database_url())._replace(scheme="postgresql+psycopg").geturl()


def settle_down() -> None:
    """Let the server write and count what was added, so that nobody pays for that while firing."""
    import psycopg

    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
