"""The tables' version: made, brought up to date, or refused."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from tickwork.errors import StoreSchemaError, StoreUnusableError
from tickwork.stores.postgresql.server import Session, quoted

FOLDER = Path(__file__).parent
SCRIPTS = ("schema.sql", "schema_2_liveness.sql", "schema_3_moves.sql")
"""What leads from each version to the next: the first script makes version 1 from nothing.

An older tickwork may be at work on the tables while a newer one upgrades them, until it is replaced: so a script
adds, and changes or takes away nothing that the version before it needs.
"""

TABLE = "tickwork_schema"
"""Where the version is; who keeps other tables in the schema counts for itself."""
META = "create table if not exists {table} (version integer not null)"
TABLES_EXIST = """
select exists (
    select from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where nspname = $1 and relname = $2
)
"""
"""By a snapshot of its own: a name that was looked up before the turn was taken may be remembered as missing."""
READ_VERSION = "select coalesce(max(version), 0) from {table}"
NOTE_VERSION = "delete from {table}; insert into {table} (version) values ({version})"
TAKE_TURN = f"select pg_advisory_xact_lock({crc32(b'tickwork')})"


def upgrade(
    session: Session, location: str, schema: str, *, create: bool, scripts: Sequence[str] | None = None,
    table: str = TABLE, kind: str = "postgresql",
) -> None:  # fmt: skip
    """Bring the tables to this version, inside the caller's transaction; one process at a time. *kind* is by what name
    `tickwork schema` prints them.

    Raises StoreSchemaError if they are newer, StoreUnusableError if they are missing or older and *create* is off.
    """
    steps = [(FOLDER / name).read_text("utf-8") for name in SCRIPTS] if scripts is None else scripts
    if read_version(session, schema, table) == len(steps):
        return
    session.select(TAKE_TURN)
    found = read_version(session, schema, table)
    if found > len(steps):
        raise StoreSchemaError(
            f"expected tables of version {len(steps)} or older in {location}, got version {found}: "
            f"a newer tickwork wrote them; install that version here too"
        )
    if found == len(steps):
        return
    if not create:
        got, missing = (f"version {found}", f" --after {found}") if found else ("none", "")
        command = f"tickwork schema {kind} --schema {shlex.quote(schema)}{missing}"
        raise StoreUnusableError(
            f"expected tables of version {len(steps)} in {location}, got {got}, and create=off: "
            f"run what `{command}` prints"
        )
    if not session.select(
        "select 1 from pg_namespace where nspname = $1", schema
    ):  # "if not exists" asks for the right, too
        session.run_script(f"create schema {quoted(schema)}")
    session.run_script(META.format(table=table))
    for step in steps[found:]:
        session.run_script(step)
    session.run_script(NOTE_VERSION.format(table=table, version=len(steps)))


def read_version(session: Session, schema: str, table: str = TABLE) -> int:
    """The version of the tables; 0 if there are none."""
    ((exist,),) = session.select(TABLES_EXIST, schema, table)
    return session.select(READ_VERSION.format(table=table))[0][0] if exist else 0


def script(
    schema: str | None = None, after: int = 0, *, scripts: Sequence[str] | None = None, table: str = TABLE
) -> str:  # fmt: skip
    """What makes the tables, or brings those of the version *after* up to date, for people who run it themselves.

    Without a *schema* the tables go to the first one of the search path.
    """
    steps = [(FOLDER / name).read_text("utf-8") for name in SCRIPTS] if scripts is None else scripts
    place = (
        []
        if schema is None
        else [f"create schema if not exists {quoted(schema)};", f"set local search_path to {quoted(schema)};"]
    )
    noted = f"{META.format(table=table)};\n{NOTE_VERSION.format(table=table, version=len(steps))};"
    return "\n\n".join(["begin;", *place, f"{TAKE_TURN};", *steps[after:], noted, "commit;"]) + "\n"
