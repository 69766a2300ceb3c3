"""Where jobs and runs live: in memory, or in a SQLite file that several processes share."""

from __future__ import annotations

from pathlib import Path

from tickwork.clock import Clock
from tickwork.errors import StoreURLError
from tickwork.stores.base import Store

FORMS = "None (memory), 'sqlite:///jobs.db' (relative to the working directory) or 'sqlite:////var/lib/app/jobs.db'"


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
    if scheme in ("postgresql", "postgres", "redis", "rediss", "valkey"):
        raise StoreURLError(f"store: {scheme}:// is not built yet; expected {FORMS}, got {_masked(url)!r}")
    if scheme != "sqlite" or not rest.startswith("/") or not rest.strip("/") or "?" in rest or ":memory:" in rest:
        raise StoreURLError(f"store: expected {FORMS}, got {_masked(url)!r}")
    from tickwork.stores.sqlite import SQLiteStore  # noqa: PLC0415

    return SQLiteStore(Path(rest[1:]), clock=clock)


def _masked(url: str) -> str:
    """The URL without its user and password, for an error that may be logged."""
    scheme, separator, rest = url.partition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{'***@' if at else ''}{host}"
