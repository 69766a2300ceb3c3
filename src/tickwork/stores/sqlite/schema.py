"""The tables of jobs and runs: made, brought up to date, or refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tickwork.sqlite import schema

FOLDER = Path(__file__).parent
SCRIPTS = (
    "schema.sql",
    "schema_2.sql",
    "schema_3.sql",
    "schema_4_inside.sql",
    "schema_5_nodes.sql",
    "schema_6_control.sql",
    "schema_7_liveness.sql",
    "schema_8_moves.sql",
)
"""What leads from each version to the next: the first script makes version 1 from nothing."""

TABLE = "tickwork_schema"
"""Where the version is."""


def upgrade(connection: sqlite3.Connection, location: str, scripts: Sequence[str] | None = None) -> None:
    """Bring the tables to this version, inside the caller's transaction; StoreSchemaError if they are newer."""
    steps = [(FOLDER / name).read_text("utf-8") for name in SCRIPTS] if scripts is None else scripts
    schema.upgrade(connection, location, steps, table=TABLE)


def has_tables(path: Path) -> bool:
    """Whether there is a file with our tables; looking makes none. False as well for one that is no database."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("select 1 from sqlite_master where name = ?", (TABLE,)).fetchone() is not None
    except sqlite3.Error:
        return False
