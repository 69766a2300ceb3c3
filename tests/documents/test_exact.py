"""Comparing every vector: always true, whatever changed since it was asked last, and no more is read than is new."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.documents.sample import Shop

from tickwork.documents import Doc
from tickwork.documents.exact import ExactIndex


@pytest.fixture
def shop(place: Path | str) -> Iterator[Shop]:
    shop = Shop(place)
    yield shop
    shop.docs.close()


class Watched:
    """A catalogue that notes of which chunks the vectors were read."""

    def __init__(self, catalogue: Any) -> None:
        self.catalogue = catalogue
        self.read: list[int] = []

    def shown(self, epoch: int) -> Any:
        return self.catalogue.shown(epoch)

    def space(self, chunks: Any, space: int) -> Any:
        self.read += chunks
        return self.catalogue.space(chunks, space)


def test_what_was_asked_before_a_change_is_as_true_after_it_as_what_was_not(shop: Shop) -> None:
    chance = random.Random(7)
    vector = shop.embedder.embed(["apple 1"])[0]
    asked_before: ExactIndex | None = None
    for _ in range(25):
        lines = [f"apple {chance.randrange(30)}" for _ in range(chance.randrange(12))]
        shop.listed = [
            Doc("kept", "apple"),
            Doc("a", "\n".join(lines)),
            *([Doc("b", "apple 1")] if len(lines) % 2 else []),
        ]
        shop.sync()
        parts = shop.docs._opened()
        epoch, space = parts.catalogue.epoch(parts.vectors.space), parts.vectors.space
        asked_before = asked_before or ExactIndex(parts.catalogue, space)

        found = asked_before.query(vector, 1_000, epoch)

        assert found == ExactIndex(parts.catalogue, space).query(vector, 1_000, epoch)
        assert sorted(number for number, _ in found) == sorted(parts.catalogue.shown(epoch))
        assert found[:3] == asked_before.query(vector, 3, epoch)


def test_a_reader_of_an_older_epoch_sees_what_it_saw(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple one")]
    shop.sync()
    parts = shop.docs._opened()
    index = ExactIndex(parts.catalogue, parts.vectors.space)
    before, vector = parts.catalogue.epoch(parts.vectors.space), shop.embedder.embed(["apple"])[0]
    old = index.query(vector, 5, before)
    shop.listed = [Doc("a", "apple two")]
    shop.sync()

    new = index.query(vector, 5, parts.catalogue.epoch(parts.vectors.space))

    assert new != old
    assert index.query(vector, 5, before) == old


def test_what_is_known_already_is_not_read_again(shop: Shop) -> None:
    shop.listed = [Doc("a", "\n".join(f"apple {number}" for number in range(50)))]
    shop.sync()
    parts = shop.docs._opened()
    watched: Any = Watched(parts.catalogue)
    index, vector = ExactIndex(watched, parts.vectors.space), shop.embedder.embed(["apple"])[0]
    index.query(vector, 5, parts.catalogue.epoch(parts.vectors.space))
    watched.read.clear()
    shop.listed = [Doc("a", shop.listed[0].text.replace("apple 7", "pear"))]
    shop.sync()

    assert len(index.query(vector, 1_000, parts.catalogue.epoch(parts.vectors.space))) == 50
    assert len(watched.read) == 1


@pytest.mark.parametrize("index", ["exact", "embedded"])
def test_a_filter_that_few_pass_finds_all_of_them(tmp_path: Path, index: str) -> None:
    """Also if they are farther away than the index is asked for."""
    shop = Shop(tmp_path, index)
    shop.listed = [
        *(Doc(f"near {n}", "\n".join(f"apple {n} {line}" for line in range(100)), meta={"of": "apples"}) for n in range(25)),
        Doc("far", "pear one\npear two\npear two", meta={"of": "pears"}),
    ]  # fmt: skip
    shop.sync()

    assert shop.texts(k=2, where={"of": "pears"}) == ["pear two", "pear two"]
    assert shop.texts(k=5, where={"of": ["pears", "plums"]}) == ["pear one", "pear two", "pear two"]
    assert shop.texts(where={"of": "plums"}) == []
    assert len(shop.texts(k=1_000, where={"of": "apples"})) == 1_000
    shop.docs.close()


def test_a_source_is_searched_alone(shop: Shop) -> None:
    shop.listed = [Doc("a", "\n".join(f"apple {number}" for number in range(2_500)))]
    shop.sync()
    shop.docs.source("small")(lambda: [Doc("p", "pear")])
    asyncio.run(shop.docs.sync("small"))

    assert shop.texts(source="small") == ["pear"]
