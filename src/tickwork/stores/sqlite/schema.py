"""The tables' version: made, brought up to date, or refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tickwork.errors import StoreSchemaError

FOLDER = Path(__file__).parent
SCRIPTS = (
    "schema.sql",
    "schema_2.sql",
    "schema_3.sql",
    "schema_4_inside.sql",
    "schema_5_nodes.sql",
    "schema_6_control.sql",
)
"""What leads from each version to the next: the first script makes version 1 from nothing."""

TABLE = "tickwork_schema"


def upgrade(
    connection: sqlite3.Connection, location: str, scripts: Sequence[str] | None = None, *, table: str = TABLE
) -> None:
    """Bring the tables to this version, inside the caller's transaction; StoreSchemaError if they are newer.

    *table* holds the version: who keeps other tables in the file counts for itself.
    """
    steps = [(FOLDER / name).read_text("utf-8") for name in SCRIPTS] if scripts is None else scripts
    connection.execute(f"create table if not exists {table} (version integer not null)")
    (found,) = connection.execute(f"select coalesce(max(version), 0) from {table}").fetchone()
    if found > len(steps):
        raise StoreSchemaError(
            f"expected tables of version {len(steps)} or older in {location}, got version {found}: "
            f"a newer tickwork wrote them; install that version here too"
        )
    if found == len(steps):
        return
    for step in steps[found:]:
        for statement in _statements(step):
            connection.execute(statement)
    connection.execute(f"delete from {table}")
    connection.execute(f"insert into {table} (version) values (?)", (len(steps),))


def _statements(script: str) -> list[str]:
    """The statements of a script one by one: `executescript` would commit the transaction first."""
    statements, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
