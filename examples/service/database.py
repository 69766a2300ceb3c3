"""The service's own tables, in a file beside that of its jobs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from examples.service.settings import VAR

TABLES = """
create table if not exists samples (
    taken_at text primary key, load real, memory_used real, memory_total real, disk_used real, disk_total real
);
create table if not exists files (path text primary key, size integer, changed_at integer, sha256 text);
"""


@contextmanager
def connect() -> Iterator[sqlite3.Connection]:
    """A connection for one transaction, which is committed if all goes well."""
    with closing(sqlite3.connect(VAR / "machine.db", timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        connection.executescript(TABLES)
        with connection:
            yield connection
