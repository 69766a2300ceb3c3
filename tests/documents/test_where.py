"""What `where` asks of the metadata of a hit."""

from __future__ import annotations

from typing import Any

import pytest

from tickwork.documents import InvalidDocumentError
from tickwork.documents.where import check_where, fits, read_where

META = {"lang": "en", "year": 2026, "price": 1.5, "draft": True, "teams": ["a", "b"], "code": "42"}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, True), ({"lang": "en"}, True), ({"lang": "ko"}, False), ({"lang": ["ko", "en"]}, True), ({"lang": {"en"}}, True), ({"lang": []}, False),
        ({"teams": "a"}, True), ({"teams": ["b", "c"]}, True), ({"teams": "c"}, False), ({"lang": "en", "year": 2025}, False),
        ({"draft": True}, True), ({"draft": 1}, False), ({"year": 2026.0}, True), ({"year": "2026"}, False), ({"nothing": None}, True), ({"lang": None}, False),
    ],
)  # fmt: skip
def test_a_hit_has_all_that_is_asked_for(where: dict[str, Any], found: bool) -> None:
    check_where(where)

    assert fits(META, where) is found


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ([("lang", "en")], True), ([("lang", "ko"), ("lang", "en")], True), ([("year", "2026")], True), ([("year", "2025")], False),
        ([("price", "1.5")], True), ([("draft", "true")], True), ([("draft", "1")], False), ([("code", "42")], True), ([("nothing", "null")], False),
        ([("lang", "9" * 5_000)], False), ([("lang", "[" * 100_000)], False),
    ],
)  # fmt: skip
def test_a_value_in_a_url_may_be_a_text_a_number_or_a_truth(written: list[tuple[str, str]], found: bool) -> None:
    where = read_where(written)

    assert where is not None
    assert fits(META, where) is found


def test_nothing_written_is_no_filter() -> None:
    assert read_where([]) is None


class Hostile:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("hostile")


def nested(depth: int) -> list[Any]:
    outer: list[Any] = ["x"]
    for _ in range(depth):
        outer = [outer]
    return outer


@pytest.mark.parametrize(
    "where",
    ["lang:en", ["lang"], 3, {5: 5}, {None: "x"}, {"a": object()}, {"a": Hostile()}, {"a": [Hostile()]}, {"a": nested(100_000)}, {"a": b"x"}],
)  # fmt: skip
def test_what_is_no_filter_is_refused(where: object) -> None:
    with pytest.raises(InvalidDocumentError, match="expected where as a mapping"):
        check_where(where)
