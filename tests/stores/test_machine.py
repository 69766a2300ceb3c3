"""Every store lives as memory does, whatever is done to it."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getsource
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.stores import machine
from tests.stores.machine import MakeStore, Place, StoreMachine

from tickwork.stores.base import Store
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.stores.redis import RedisStore
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import VirtualClock

LIVES = int(os.environ.get("TICKWORK_LIVES", "60"))
STEPS = 40


def test_every_verb_of_a_store_is_in_the_machine_or_says_why_not() -> None:
    verbs = {name for name in vars(Store) if callable(getattr(Store, name)) and not name.startswith("_")}
    called = {*re.findall(r"(?:store|model|handles?\[node\])\.(\w+)\(", getsource(machine))}

    assert verbs - called - {*machine.LEFT_OUT} == set()
    assert machine.LEFT_OUT.keys() <= verbs - called


def test_sqlite_lives_as_memory_does(tmp_path: Path) -> None:
    @contextmanager
    def place(clock: VirtualClock) -> Iterator[MakeStore]:
        with TemporaryDirectory(dir=tmp_path) as folder:
            yield lambda: SQLiteStore(Path(folder) / "jobs.db", clock=clock)

    live(place)


def test_postgresql_lives_as_memory_does(postgresql_database: str) -> None:
    @contextmanager
    def place(clock: VirtualClock) -> Iterator[MakeStore]:
        schema = f"test_{secrets.token_hex(6)}"
        yield lambda: PostgreSQLStore(f"{postgresql_database}?schema={schema}", clock=clock)
        with psycopg.connect(postgresql_database, autocommit=True) as connection:
            connection.execute(f'drop schema if exists "{schema}" cascade'.encode())

    live(place)


def test_redis_lives_as_memory_does(redis_server_url: str) -> None:
    @contextmanager
    def place(clock: VirtualClock) -> Iterator[MakeStore]:
        prefix = f"test-{secrets.token_hex(6)}"
        yield lambda: RedisStore(f"{redis_server_url}?prefix={prefix}", clock=clock)
        with redis.Redis.from_url(redis_server_url) as client:
            for key in client.scan_iter(f"{{{prefix}}}:*", count=1_000):
                client.unlink(key)

    live(place)


def live(place: Place) -> None:
    """Live some lives at a place."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: StoreMachine(place),
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            report_multiple_bugs=False,
            suppress_health_check=[*HealthCheck],
        ),
    )
