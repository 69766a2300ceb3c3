"""Where jobs and runs live: in memory, in a SQLite file that processes share, on a PostgreSQL or a Redis server."""

from __future__ import annotations

from pathlib import Path

from tickwork.clock import Clock
from tickwork.errors import StoreURLError
from tickwork.stores.base import Store
from tickwork.stores.masking import masked

FORMS = (
    "None (memory), 'sqlite:///jobs.db' (relative to the working directory), 'sqlite:////var/lib/app/jobs.db', "
    "'postgresql://user:password@host/database' or 'redis://user:password@host:6379/0'"
)


def make_store(url: str | Store | None, *, clock: Clock | None = None) -> Store:
    """The store that *url* names; a store is its own answer. StoreURLError if it names none."""
    if url is None or url in ("memory:", "memory://"):
        from tickwork.stores.memory import MemoryStore  # noqa: PLC0415  only what is used is imported

        return MemoryStore(clock=clock)
    if not isinstance(url, str):
        if not callable(getattr(url, "fire", None)):
            raise StoreURLError(f"store: expected {FORMS}, or a store, got {url!r}")
        return url
    scheme, _, rest = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url, clock)
    dialect, _, driver = scheme.partition("+")
    if dialect in ("postgresql", "postgres"):
        raise StoreURLError(
            f"store: expected postgresql://, got {masked(url)!r}: leave out '+{driver}'; tickwork brings "
            f"its own driver, which blocks no event loop"
        )
    if scheme in ("redis", "rediss", "valkey", "valkeys"):
        return _redis(url, clock)
    if dialect in ("redis", "rediss", "valkey", "valkeys"):
        todo = (
            f"name the primary that '{driver}' leads to, or an address that follows it"
            if driver in ("sentinel", "cluster")
            else f"leave out '+{driver}'; tickwork brings its own driver, which blocks no event loop"
        )
        raise StoreURLError(f"store: expected redis://, the URL of one server, got {masked(url)!r}: {todo}")
    if dialect == "sqlite" and driver:
        raise StoreURLError(f"store: expected sqlite:///, got {masked(url)!r}: leave out '+{driver}'; none is needed")
    if scheme == "sqlite" and "?" in rest:
        raise StoreURLError(
            f"store: expected sqlite:/// and a path, got options behind {masked(url)!r}: leave out '?' and all that "
            f"follows; none is needed"
        )
    if scheme != "sqlite" or not rest.startswith("/") or not rest.strip("/") or ":memory:" in rest:
        raise StoreURLError(f"store: expected {FORMS}, got {masked(url)!r}")
    from tickwork.stores.sqlite import SQLiteStore  # noqa: PLC0415

    return SQLiteStore(Path(rest[1:]), clock=clock)


def _postgresql(url: str, clock: Clock | None) -> Store:
    try:
        from tickwork.stores.postgresql import PostgreSQLStore  # noqa: PLC0415
    except ImportError as error:  # also when there is a psycopg, but nothing that speaks to libpq
        raise StoreURLError(
            f"store: expected psycopg 3 for {masked(url)!r}, got {error}: pip install 'tickwork[postgresql]'"
        ) from None
    return PostgreSQLStore(url, clock=clock)


def _redis(url: str, clock: Clock | None) -> Store:
    try:
        from tickwork.stores.redis import RedisStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreURLError(
            f"store: expected the package redis for {masked(url)!r}, got {error}: pip install 'tickwork[redis]'"
        ) from None
    return RedisStore(url, clock=clock)
