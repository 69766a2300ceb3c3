"""The cache on a Redis or Valkey server, which expires what is kept by itself."""

from __future__ import annotations

from datetime import timedelta

from tickwork.sessions.stores.redis.server import MILLISECOND, Server, to_millis


class RedisCacheStore:
    """Cached values, and who computes those that are not there."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get(self, key: str) -> bytes | None:
        with self._server.faults():
            value: bytes | None = self._server.client.get(self._keys(key)[0])
            return value

    def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        self._server.run("cache_set", self._keys(key), value, to_millis(ttl))

    def delete(self, key: str) -> bool:
        return bool(self._server.run("cache_delete", self._keys(key)))

    def begin(self, key: str, owner: str, lease: timedelta) -> bytes | timedelta | None:
        found, left = self._server.run("cache_begin", self._keys(key), owner, to_millis(lease))
        if found is not None:
            return bytes(found)
        return None if left is None else left * MILLISECOND

    def finish(self, key: str, owner: str, value: bytes, ttl: timedelta) -> bool:
        return bool(self._server.run("cache_finish", self._keys(key), owner, value, to_millis(ttl)))

    def give_up(self, key: str, owner: str) -> None:
        self._server.run("cache_give_up", self._keys(key)[1:], owner)

    def sweep(self, limit: int) -> int:
        """Nothing: the server expires by itself."""
        return 0

    def _keys(self, key: str) -> list[str]:
        return [f"{self._server.prefix}:cache:{key}", f"{self._server.prefix}:lease:{key}"]
