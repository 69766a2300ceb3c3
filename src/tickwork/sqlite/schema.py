"""The tables' version: made, brought up to date, or refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tickwork.errors import StoreSchemaError


def upgrade(connection: sqlite3.Connection, location: str, scripts: Sequence[str], *, table: str) -> None:
    """Bring the tables to the version that *scripts* make, inside the caller's transaction.

    The first script makes version 1 from nothing, each other leads to the next. *table* holds the version: who keeps
    other tables in the file counts for itself. Raises StoreSchemaError if the tables are newer.
    """
    connection.execute(f"create table if not exists {table} (version integer not null)")
    (found,) = connection.execute(f"select coalesce(max(version), 0) from {table}").fetchone()
    if found > len(scripts):
        raise StoreSchemaError(
            f"expected tables of version {len(scripts)} or older in {location}, got version {found}: "
            f"a newer tickwork wrote them; install that version here too"
        )
    if found == len(scripts):
        return
    for script in scripts[found:]:
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute(f"delete from {table}")
    connection.execute(f"insert into {table} (version) values (?)", (len(scripts),))


def _statements(script: str) -> list[str]:
    """The statements of a script one by one: `executescript` would commit the transaction first."""
    statements, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
