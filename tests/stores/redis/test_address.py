"""What a Redis URL says, and what is said of one that cannot be read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tickwork.errors import StoreURLError
from tickwork.stores import make_store
from tickwork.stores.redis.address import Address


@pytest.mark.parametrize(
    ("url", "host", "port", "database", "tls"),
    [
        ("redis://db.example", "db.example", 6379, 0, False),
        ("redis://db.example:7000/3", "db.example", 7000, 3, False),
        ("redis://", "localhost", 6379, 0, False),
        ("rediss://db.example/1", "db.example", 6379, 1, True),
        ("valkey://db.example/", "db.example", 6379, 0, False),
        ("valkeys://db.example", "db.example", 6379, 0, True),
    ],
)
def test_an_address_is_where_the_url_says(url: str, host: str, port: int, database: int, tls: bool) -> None:
    address = Address.parse(url)

    assert (address.parameters["host"], address.parameters["port"]) == (host, port)
    assert (address.parameters["db"], address.tls, address.prefix) == (database, tls, "{tickwork}")


def test_user_and_password_are_told_to_the_driver_alone() -> None:
    address = Address.parse("redis://me:s%2Fecret@db.example/2?prefix=shop&socket_timeout=9")

    assert (address.parameters["username"], address.parameters["password"]) == ("me", "s/ecret")
    assert address.parameters["socket_timeout"] == 9.0
    assert address.location == "redis://db.example:6379/2?prefix=shop"
    assert address.prefix == "{shop}"
    assert "ecret" not in repr(address)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://me:secret@host/db", r"expected a URL such as redis://.*got 'redis://\*\*\*@host/db'"),
        ("redis://me:secret@host:port/0", r"expected a URL such as .*got 'redis://\*\*\*@host:port/0'"),
        ("redis://me:secret@host:99999/0", r"expected a URL such as"),
        ("redis://me:se/cret@host/0", r"expected a URL such as .*write / \? # @ : % in a user or password as %2F"),
        ("redis://me:a?secret@host/0", r"expected a URL such as .*got 'redis://\*\*\*'"),
        ("redis://host/zero", r"which ends with the number of a database, got 'redis://host/zero'"),
        ("redis://host/-1", r"expected a URL such as"),
        ("redis://host/0?prefx=a", r"expected one of the options prefix, .*got 'prefx' \(did you mean 'prefix'\?\)"),
        ("redis://host/0?prefix=", r"prefix: expected up to 100 characters .*got ''"),
        ("redis://host/0?prefix=a%7Db", r"prefix: .*got 'a}b'"),
        ("redis://host/0?prefix=" + 101 * "x", r"prefix: "),
        ("redis://host/0?socket_timeout=soon", r"expected a URL such as"),
        ("redis+sentinel://host/mymaster/0", r"expected redis://, the URL of one server, got 'redis\+sentinel://host"),
        (
            "redis+asyncio://me:secret@host",
            r"got 'redis\+asyncio://\*\*\*@host': leave out '\+asyncio'; tickwork brings",
        ),
        ("redis+cluster://me:secret@host", r"the URL of one server, got 'redis\+cluster://\*\*\*@host'"),
    ],
)
def test_what_cannot_be_an_address_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(StoreURLError, match=message) as raised:
        make_store(url)

    assert "cret" not in str(raised.value)


def test_without_the_driver_it_is_said_what_to_install() -> None:
    program = """
import sys
sys.modules["redis"] = None
from tickwork.errors import StoreURLError
from tickwork.stores import make_store
try:
    make_store("redis://me:secret@host/0")
except StoreURLError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert "expected the package redis for 'redis://***@host/0'" in said
    assert "pip install 'tickwork[redis]'" in said
