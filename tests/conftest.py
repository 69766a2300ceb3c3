"""What all tests share: the laws explain their failures, Hypothesis looks at no stopwatch, and one server serves all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import Phase, settings
from tests.servers import PostgreSQLServer, RedisServer, drop_database, new_database

pytest.register_assert_rewrite("tests.stores.laws", "tests.stores.machine", "tests.executors.laws")

settings.register_profile("tickwork", deadline=None)  # a slow machine is not a bug
settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)  # whether a test fails is all they want to know
settings.load_profile("tickwork")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Some tests log halves of characters, which no process can send to another."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def postgresql_database() -> Iterator[str]:
    """The URL of an empty database, which all tests of this process share."""
    given = os.environ.get("TICKWORK_TEST_POSTGRESQL_URL")
    if given is not None:
        url = new_database(given)
        yield url
        drop_database(url)
    else:
        with PostgreSQLServer() as server:
            yield server.url()


@pytest.fixture
def postgresql_url(postgresql_database: str) -> Iterator[str]:
    """The URL of a store in a schema of its own, which goes with the test."""
    schema = f"test_{secrets.token_hex(6)}"
    yield f"{postgresql_database}?schema={schema}"
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        connection.execute(f'drop schema if exists "{schema}" cascade'.encode())


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """The URL of a server, which all tests of this process share."""
    given = os.environ.get("TICKWORK_TEST_REDIS_URL")
    if given is not None:
        yield given
    else:
        with RedisServer() as server:
            yield server.url()


@pytest.fixture
def redis_url(redis_server_url: str) -> Iterator[str]:
    """The URL of a store behind a prefix of its own, whose keys go with the test."""
    prefix = f"test-{secrets.token_hex(6)}"
    yield f"{redis_server_url}?prefix={prefix}"
    with redis.Redis.from_url(redis_server_url) as client:
        for key in client.scan_iter(f"{{{prefix}}}:*", count=1_000):
            client.unlink(key)


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The URL of an empty store, of each kind in turn. None: memory."""
    match request.param:
        case "memory":
            return None
        case "sqlite":
            return f"sqlite:///{tmp_path / 'jobs.db'}"
        case kind:
            url: str = request.getfixturevalue(f"{kind}_url")
            return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store in a database, into which jobs may write, too; of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url
