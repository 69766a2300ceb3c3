"""A PostgreSQL URL: what the driver is told, and what is meant for this store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tickwork.errors import StoreURLError, did_you_mean
from tickwork.stores.masking import masked

OPTIONS = ("schema", "create", "pooler")
"""The options of a URL that are ours; all others are libpq's."""
SWITCH = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False}
SCHEMA = re.compile(r"[^\x00-\x1f\x7f]{1,63}")
MANNERS = {
    "connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "3", "keepalives_count": "3",
    "tcp_user_timeout": "15000", "fallback_application_name": "tickwork", "client_encoding": "utf8",
}  # fmt: skip
"""What libpq is told unless the URL says otherwise: a connection whose other end is gone is noticed within seconds."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is, and how it is to be used. Only *parameters* hold a password."""

    parameters: dict[str, str] = field(repr=False)
    schema: str | None
    """Where the tables are. None: in the first schema of the user's search path."""
    create: bool
    """Whether missing tables are made, and old ones brought up to date."""
    pooler: bool | None
    """Whether a pooler is in the way that lends a connection for a transaction. None: look."""
    location: str
    """For people, without user and password."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address that *url* names, or a StoreURLError, which shows no password."""
        base, _, options = url.partition("?")
        written = {option.partition("=")[0]: option for option in options.split("&") if option}
        own = {name: unquote(written.pop(name).partition("=")[2]) for name in OPTIONS if name in written}
        rest = "&".join(written.values())
        try:
            given = conninfo_to_dict(f"{base}?{rest}" if rest else base)
        except (psycopg.Error, UnicodeError):
            raise _unreadable(url, written) from None  # libpq's own words may hold a part of a password
        parameters = MANNERS | {name: str(value) for name, value in given.items()}
        ports = parameters.get("port", "").split(",")
        if not all(_is_port(port) for port in ports) or "@" in parameters.get("dbname", ""):
            raise _unreadable(url, written)  # a / in a password, which made a host of the user
        if base.partition("://")[2].partition("/")[0].count("@") > 1:
            raise _unreadable(url, written)  # an @ in a password, whose rest libpq takes for the host's, and shows
        schema = own.get("schema")
        if schema is not None and not SCHEMA.fullmatch(schema):
            raise StoreURLError(f"schema: expected the name of a schema, got {schema[:100]!r}: write ?schema=tickwork")
        return cls(
            parameters, schema, _switch(own, "create", "on") is not False, _switch(own, "pooler", "auto"),
            _location(parameters, schema),
        )  # fmt: skip


def _switch(own: dict[str, str], name: str, usual: str) -> bool | None:
    value = own.get(name, usual)
    if value == "auto" == usual:
        return None
    if value not in SWITCH:
        raise StoreURLError(f"{name}: expected on or off, got {value[:100]!r}: write ?{name}=off")
    return SWITCH[value]


def _is_port(text: str) -> bool:
    """Whether libpq would try it; nothing is the usual one."""
    return not text or (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65_536)


def _location(parameters: dict[str, str], schema: str | None) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "localhost"
    port = f":{parameters['port']}" if parameters.get("port", ",").strip(",") else ""
    chosen = f"?schema={schema}" if schema is not None else ""
    return f"postgresql://{host}{port}/{parameters.get('dbname', '')}{chosen}"


def _unreadable(url: str, names: Iterable[str]) -> StoreURLError:
    known = [*(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()), *OPTIONS]
    for name in names:
        if name not in known and "@" not in name:  # what lies behind a ? in a password
            return StoreURLError(
                f"store: expected an option of libpq, or schema, create or pooler, "
                f"got {name[:100]!r}{did_you_mean(name, known)}"
            )
    return StoreURLError(
        "store: expected a URL that libpq can read, such as postgresql://user:password@host:5432/database, got "
        f"{masked(url)!r}: write / ? # @ : % in a user or password as %2F %3F %23 %40 %3A %25"
    )
