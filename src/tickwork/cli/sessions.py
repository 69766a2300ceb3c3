"""The commands on sessions: `tickwork sessions list|destroy|destroy-user|sweep`. They show no content."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from tickwork.cli.arguments import UsageError, whole
from tickwork.cli.records import iso, print_json
from tickwork.cli.tables import print_table
from tickwork.cli.targets import check_file, load
from tickwork.cli.words import say_time

if TYPE_CHECKING:
    from tickwork.sessions import Record, Sessions

MAX_ROWS = 1_000
TABLE = "tickwork_sessions_schema"
"""What a SQLite file has if sessions were kept in it."""

Command = Callable[..., Callable[..., argparse.Action]]


def add_session_commands(command: Command) -> None:
    """Give `tickwork sessions` its own commands; *command* adds one, and returns what adds options to it."""
    store = ("store", "STORE", "sqlite:///sessions.db, redis://host, or MODULE:SESSIONS")

    def with_store(name: str, do: Callable[[argparse.Namespace], int], *positionals: tuple[str, str, str]) -> Any:
        option = command(name, do, store, *positionals)
        option("--name", metavar="NAME", help="of the sessions in that store; default: default")
        return option

    option = with_store("list", list_sessions)
    option("--user", metavar="USER", help="of this user alone")
    option("--limit", type=partial(whole, least=1, most=MAX_ROWS), default=20, metavar="N", help="default 20")
    option("--utc", action="store_true", help="times in UTC, not in the local zone")
    option("--json", action="store_true", help="for programs; times in UTC")
    with_store("destroy", destroy, ("session", "SESSION", "its id, as `list` shows it"))
    with_store("destroy-user", destroy_user, ("user", "USER", "as the app names its users"))
    with_store("sweep", sweep)


def list_sessions(options: argparse.Namespace) -> int:
    """List the sessions that go on, those that end last first: whose they are, how old and how big, and no content."""
    with open_sessions(options) as sessions:
        records = sessions.records(limit=options.limit) if options.user is None else sessions.of_user(options.user)
        count = sessions.count() if options.user is None else len(records)
    records = records[: options.limit]
    if options.json:
        return print_json({"count": count, "sessions": [session_record(record) for record in records]})
    zone = "UTC" if options.utc else None
    print_table(
        ("USER", "LAST USED", "BEGAN", "EXPIRES", "MESSAGES", "BYTES", "SESSION"),
        [
            (
                record.user or "-", say_time(record.seen_at, zone), say_time(record.created_at, zone),
                say_time(record.expires_at, zone), f"{record.messages:,}", f"{record.bytes:,}", record.id,
            )
            for record in records
        ],
    )  # fmt: skip
    print(f"{len(records):,} of {count:,} sessions")
    return 0


def destroy(options: argparse.Namespace) -> int:
    """End a session: its token opens nothing from now on, and what was in it is deleted."""
    with open_sessions(options) as sessions:
        went_on = sessions.destroy(options.session)
    if not went_on:
        raise UsageError(
            f"expected the id of a session that goes on, got {options.session!r}: see `tickwork sessions list`"
        )
    print("the session has ended")
    return 0


def destroy_user(options: argparse.Namespace) -> int:
    """End all sessions of a user, on all devices."""
    with open_sessions(options) as sessions:
        ended = sessions.destroy_user(options.user)
    print(f"{ended:,} {'session has' if ended == 1 else 'sessions have'} ended")
    return 0


def sweep(options: argparse.Namespace) -> int:
    """Delete what has expired from a SQLite file, as the job of `add_sweep_job` does; a server does so by itself."""
    with open_sessions(options) as sessions:
        swept = sessions.sweep()
    print(f"{swept:,} {'was' if swept == 1 else 'were'} swept")
    return 0


@contextmanager
def open_sessions(options: argparse.Namespace) -> Iterator[Sessions]:
    """The sessions that the command line names, in a store that exists: looking makes none."""
    from tickwork.sessions import Sessions  # noqa: PLC0415  only who asks for it pays for it

    if "://" in options.store:
        sessions = Sessions(options.store, name=options.name or "default")
    elif options.name is None:
        sessions = load(options.store, Sessions, "sessions", example="app.main:sessions")
    else:
        raise UsageError("expected --name only with the URL of a store: MODULE:SESSIONS have a name")
    check_file(sessions.location, TABLE)
    with closing(sessions):
        yield sessions


def session_record(record: Record) -> dict[str, Any]:
    """A session with the words of the HTTP API."""
    return {
        "id": record.id, "user": record.user, "created_at": iso(record.created_at), "seen_at": iso(record.seen_at),
        "expires_at": iso(record.expires_at), "ends_at": iso(record.ends_at),
        "messages": record.messages, "bytes": record.bytes,
    }  # fmt: skip
