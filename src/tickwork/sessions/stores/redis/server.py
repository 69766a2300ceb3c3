"""A Redis or Valkey server: its client, its scripts, and what is wrong with it in our own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tickwork.checks import shown
from tickwork.errors import StoreUnavailableError, StoreUnusableError, StoreURLError

MILLISECOND = timedelta(milliseconds=1)
FORMS = "redis://[:password@]host[:6379][/0], or rediss:// with TLS (valkey:// and valkeys:// mean the same)"
SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
FOLDER = Path(__file__).parent
PATIENCE = 2.0
"""Seconds to wait for a connection, and for each answer."""
MAX_CONNECTIONS = 1_000
"""Of one process: a thread that asks has one for as long as it does."""
OLDEST = 6
FOREIGN = ("WRONGTYPE", "NOPERM")


class Server:
    """The server at *url*. All keys begin with *prefix*."""

    def __init__(self, url: str, prefix: str) -> None:
        self.prefix = prefix
        self.client: Any = make_client(url)  # its annotations fit its asyncio twin too, and so nobody
        connection = self.client.connection_pool.connection_kwargs
        self.location = f"{urlsplit(url).scheme}://{connection.get('host')}:{connection.get('port')}/{connection['db']}"
        self._scripts = {path.stem: self.client.register_script(path.read_bytes()) for path in FOLDER.glob("*.lua")}

    def open(self) -> None:
        with self.faults():
            check_version(self.client.info("server"))

    def close(self) -> None:
        self.client.close()

    def run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        """The reply of a script of this folder, by its name."""
        with self.faults():
            return self._scripts[script](keys=keys, args=arguments)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """What the client raises, as an error of ours that tells what passes from what does not."""
        try:
            yield
        except redis.AuthenticationError as error:
            raise StoreUnusableError(
                f"expected a user and password that {self.location} takes, got {shown(str(error))}: correct the URL"
            ) from None
        except (redis.RedisError, OSError) as error:
            said = f"{type(error).__name__}: {shown(str(error), most=200)}"
            if isinstance(error, redis.ResponseError) and str(error).startswith(FOREIGN):
                raise StoreUnusableError(
                    f"expected keys {self.prefix}* of our own on {self.location}, got {said}: choose another name="
                ) from error
            raise StoreUnavailableError(
                f"expected an answer from {self.location}, got {said}: it works again as soon as the server does"
            ) from error


def make_client(url: str) -> redis.Redis:
    """A client that waits for nothing long and sends nothing twice: a message whose reply was lost may be there."""
    try:
        parts = urlsplit(url)
        good = parts.hostname and (parts.port or 1) and re.fullmatch(r"/?\d{0,4}", parts.path) and not parts.fragment
        good = good and all(option.startswith("ssl_") for option, _ in parse_qsl(parts.query, keep_blank_values=True))
        if not good:
            raise ValueError
        client: redis.Redis = redis.Redis.from_url(
            f"{SCHEMES[parts.scheme]}://{url.partition('://')[2]}", decode_responses=False, protocol=2,
            socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0),
            client_name="tickwork-sessions", max_connections=MAX_CONNECTIONS,
        )  # fmt: skip
        client.connection_pool.connection_kwargs.setdefault("db", 0)
        client.connection_pool.connection_kwargs.setdefault("port", 6379)
    except ValueError:
        scheme, _, rest = url.partition("://")
        raise StoreURLError(
            f"sessions: expected {FORMS}, got {shown(f'{scheme}://***@' if '@' in rest else url)}"
        ) from None
    return client


def check_version(server: Mapping[str, Any]) -> None:
    """StoreUnusableError if the server is too old for us."""
    found = str(server.get("valkey_version") or server.get("redis_version") or "an unknown version")
    if not re.match(r"\d+\.", found) or int(found.partition(".")[0]) < OLDEST:
        raise StoreUnusableError(f"expected Redis {OLDEST} or newer, or Valkey, got {shown(found)}: upgrade the server")


def to_millis(duration: timedelta) -> int:
    """As the server counts: at least 1, since 0 would be for ever."""
    return max(1, duration // MILLISECOND)
