"""What is logged of a URL shows no secret, however it is written."""

from __future__ import annotations

import pytest

from tickwork.errors import StoreURLError
from tickwork.stores import make_store
from tickwork.stores.masking import masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://db.example:5433/shop", "postgresql://db.example:5433/shop"),
        ("postgresql://me:hunter2@db.example/shop?schema=jobs", "postgresql://***@db.example/shop"),
        ("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
        ("postgresql://me:hunter2/@:#@db.example/shop", "postgresql://***@db.example/shop"),
        ("postgresql://me:hunter2?hunter2@db.example/shop", "postgresql://***"),
        ("postgresql://db.example/shop?password=hunter2@hunter2", "postgresql://***"),
        ("hunter", "hunter"),
    ],
)
def test_user_password_and_options_are_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "redis+sentinel", "mysql", "sqlite+aiosqlite"])
@pytest.mark.parametrize("place", ["me:hunter2@h/db", "me:hunter2?hunter2@h/db", "h/db?password=hunter2"])
def test_no_url_that_is_refused_shows_its_secret(scheme: str, place: str) -> None:
    with pytest.raises(StoreURLError) as raised:
        make_store(f"{scheme}://{place}")

    assert "hunter2" not in str(raised.value)


def test_options_of_a_file_are_named_and_not_shown() -> None:
    with pytest.raises(StoreURLError, match=r"and a path, got options behind 'sqlite:///jobs.db': leave out '\?'"):
        make_store("sqlite:///jobs.db?key=hunter2")


def test_the_driver_of_a_url_of_sqlalchemy_is_to_be_left_out() -> None:
    with pytest.raises(StoreURLError, match=r"expected sqlite:///, got .*: leave out '\+aiosqlite'"):
        make_store("sqlite+aiosqlite:///jobs.db")
