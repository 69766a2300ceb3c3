"""Where sessions live: in a SQLite file that several processes share, or on a Redis or Valkey server."""

from __future__ import annotations

from pathlib import Path

from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.errors import StoreUnusableError, StoreURLError
from tickwork.sessions.limits import Limits
from tickwork.sessions.stores.base import SessionStore

FORMS = "'sqlite:///sessions.db' (relative to the working directory), 'sqlite:////var/lib/app/sessions.db' or 'redis://host'"


def make_store(url: str, *, name: str, limits: Limits, clock: Clock | None = None) -> SessionStore:
    """The store that *url* names; it is not opened yet. StoreURLError if it names none.

    *clock* is for SQLite alone: on a server its own clock decides.
    """
    scheme, _, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if scheme in ("redis", "rediss", "valkey", "valkeys"):
        try:
            from tickwork.sessions.stores.redis import RedisSessionStore  # noqa: PLC0415  only what is used is imported
        except ModuleNotFoundError as error:
            if error.name != "redis":
                raise
            raise StoreUnusableError(
                f"expected the package redis for {scheme}://, got none: pip install 'tickwork[redis]'"
            ) from None
        return RedisSessionStore(url, name=name, limits=limits)
    if scheme != "sqlite" or not rest.startswith("/") or not rest.strip("/") or "?" in rest or ":memory:" in rest:
        raise StoreURLError(f"sessions: expected {FORMS}, got {shown(f'{scheme}://***@' if '@' in rest else url)}")
    from tickwork.sessions.stores.sqlite import SQLiteSessionStore  # noqa: PLC0415

    return SQLiteSessionStore(Path(rest[1:]), name=name, limits=limits, clock=clock)
