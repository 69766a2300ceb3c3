"""A Redis URL: what the driver is told, and what is meant for this store."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import connection

from tickwork.errors import StoreURLError, did_you_mean
from tickwork.stores.masking import masked

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""What is written, and what the driver knows: with a second s, through TLS."""
OPTIONS = (
    "prefix", "socket_timeout", "socket_connect_timeout", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path",
    "ssl_certfile", "ssl_keyfile", "ssl_check_hostname",
)  # fmt: skip
"""The first is ours, the others are the driver's."""
PREFIX = re.compile(r"[^\x00-\x20\x7f{}]{1,100}")
KEEPALIVE = {
    getattr(socket, name): value for name, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3}.items()
    if hasattr(socket, name)
}  # fmt: skip
MANNERS: dict[str, Any] = {
    "socket_timeout": 5.0, "socket_connect_timeout": 5.0, "socket_keepalive": True,
    "socket_keepalive_options": KEEPALIVE, "client_name": "tickwork",
}  # fmt: skip
"""What the driver is told unless the URL says otherwise: nothing waits for ever, and a connection whose other end is
gone is noticed within seconds."""

read_url: Callable[[str], Mapping[str, Any]] = connection.parse_url


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is. Only *parameters* hold a password."""

    parameters: dict[str, Any] = field(repr=False)
    tls: bool
    prefix: str
    """What all keys begin with: its braces keep them on one node of a cluster."""
    location: str
    """For people, without user and password."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address that *url* names, or a StoreURLError, which shows no password."""
        scheme, _, rest = url.partition("://")
        base, _, query = rest.partition("?")
        written = {option.partition("=")[0]: option.partition("=")[2] for option in query.split("&") if option}
        for name in written:
            if "@" in name:  # what lies behind a ? in a password
                raise _unreadable(scheme, url)
            if name not in OPTIONS:
                raise StoreURLError(
                    f"store: expected one of the options {', '.join(OPTIONS)}, "
                    f"got {name[:100]!r}{did_you_mean(name, OPTIONS)}"
                )
        prefix = unquote(written.pop("prefix", "tickwork"))
        if not PREFIX.fullmatch(prefix):
            raise StoreURLError(
                f"prefix: expected up to 100 characters without spaces and braces, got {prefix[:100]!r}: "
                f"write ?prefix=tickwork"
            )
        options = "&".join(f"{name}={value}" for name, value in written.items())
        plain = f"{SCHEMES[scheme]}://{base}"
        try:
            given: dict[str, Any] = {**read_url(f"{plain}?{options}" if options else plain)}
            database = _database(urlsplit(plain).path)
        except ValueError:
            raise _unreadable(scheme, url) from None
        given.pop("connection_class", None)
        given = {"host": "localhost", "port": 6379} | given | {"db": database}
        chosen = "" if prefix == "tickwork" else f"?prefix={prefix}"
        location = f"{scheme}://{given['host']}:{given['port']}/{database}{chosen}"
        return cls(MANNERS | given, SCHEMES[scheme] == "rediss", f"{{{prefix}}}", location)


def _unreadable(scheme: str, url: str) -> StoreURLError:
    return StoreURLError(
        f"store: expected a URL such as {scheme}://user:password@host:6379/0, which ends with the number of a "
        f"database, got {masked(url)!r}: write / ? # @ : % in a user or password as %2F %3F %23 %40 %3A %25"
    )


def _database(path: str) -> int:
    """The number of a database; ValueError for what the driver would pass over."""
    written = path.strip("/") or "0"
    if not written.isascii() or not written.isdigit():
        raise ValueError(written)
    return int(written)
