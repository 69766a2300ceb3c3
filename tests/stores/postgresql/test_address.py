"""PostgreSQL URLs: what they may say, and what is told of those that cannot be used. A password is never told."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from tickwork.errors import StoreURLError
from tickwork.stores import make_store
from tickwork.stores.postgresql.address import Address


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql://me:hunter2@db.example:5433/shop", "postgresql://db.example:5433/shop"),
        ("postgres://me:hunter2@db.example/shop", "postgresql://db.example/shop"),
        ("postgresql:///shop?host=/run/postgresql&password=hunter2", "postgresql:///run/postgresql/shop"),
        (
            "postgresql://me:hunter2@a,b/shop?schema=jobs&target_session_attrs=primary",
            "postgresql://a,b/shop?schema=jobs",
        ),
        ("postgresql://", "postgresql://localhost/"),
    ],
)
def test_a_location_says_where_without_user_and_password(url: str, location: str) -> None:
    assert make_store(url).location == location


def test_options_of_ours_are_taken_out_and_others_are_libpqs() -> None:
    address = Address.parse(
        "postgresql://h/db?schema=my%20jobs&create=off&pooler=on&sslmode=require&options=-c%20geqo%3Doff&password=a+b"
    )

    assert (address.schema, address.create, address.pooler) == ("my jobs", False, True)
    assert address.parameters["sslmode"] == "require"
    assert address.parameters["options"] == "-c geqo=off"
    assert address.parameters["password"] == "a+b"
    assert address.parameters["connect_timeout"] == "5"
    assert "a+b" not in repr(address)


def test_what_the_url_says_stands_before_our_manners() -> None:
    assert Address.parse("postgresql://h/db?connect_timeout=60").parameters["connect_timeout"] == "60"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+asyncpg://me:hunter2@h/db", r"expected postgresql://, got 'postgresql\+asyncpg://\*\*\*@h/db': leave out '\+asyncpg'"),
        ("postgres+psycopg2://me:hunter2@h/db?password=hunter2", r"leave out '\+psycopg2'"),
        ("postgresql://h/db?schemas=jobs&password=hunter2", r"got 'schemas' \(did you mean 'schema'\?\)"),
        ("postgresql://h/db?schema=", "schema: expected the name of a schema, got ''"),
        ("postgresql://h/db?schema=a%00b", "schema: expected the name of a schema"),
        ("postgresql://h/db?schema=" + "x" * 64, "schema: expected the name of a schema"),
        ("postgresql://h/db?create=perhaps", r"create: expected on or off, got 'perhaps': write \?create=off"),
        ("postgresql://h/db?pooler=", "pooler: expected on or off, got ''"),
        ("postgresql://me:hunter2/4@h:x/db", r"expected a URL that libpq can read, .*got 'postgresql://\*\*\*@h:x/db'"),
        ("postgresql://me:hunter2@h:99999/db", r"expected a URL that libpq can read, .*got 'postgresql://\*\*\*@h:99999/db'"),
        ("postgresql://me:hu@hunter2@h/db", r"got 'postgresql://\*\*\*@h/db': write / \? # @ : % in a user or password as"),
        ("postgresql://me:1234/5?hunter2@h/db", r"expected a URL that libpq can read, .*got 'postgresql://\*\*\*'"),
        ("postgresql://me:hunter2@h:0/db", "expected a URL that libpq can read"),
        ("postgresql://me:hunter2@a,b/db?port=5432,70000", "expected a URL that libpq can read"),
        ("postgresql://me:hunter2%zz@h/db", "expected a URL that libpq can read"),
        ("postgresql://me:hunter2%00@h/db", "expected a URL that libpq can read"),
        ("postgresql://h/db?nothing", "expected an option of libpq"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_and_keeps_its_password(url: str, message: str) -> None:
    with pytest.raises(StoreURLError, match=message) as raised:
        make_store(url)

    told = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in told


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@h/db", "postgres://h/db?password=hunter2"])
def test_without_the_driver_it_is_said_what_to_install(url: str) -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None; from tickwork.stores import make_store; make_store(sys.argv[1])"
    )

    done = subprocess.run([sys.executable, "-c", program, url], check=False, capture_output=True, text=True)

    assert "StoreURLError: store: expected psycopg 3 for" in done.stderr
    assert done.stderr.endswith("pip install 'tickwork[postgresql]'\n")
    assert "hunter2" not in done.stderr
