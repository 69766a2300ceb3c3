"""Embedders: what is close in meaning is close, identities tell models apart, and a bad server is a clear error."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tokenizers import BertWordPieceTokenizer

from tickwork import Retry
from tickwork.documents import (
    EmbeddingError,
    HashEmbedder,
    InvalidDocumentError,
    MiniLM,
    OnnxEmbedder,
    OpenAIEmbedder,
    SentenceTransformerEmbedder,
)
from tickwork.documents.embedders import embed, onnx


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_minilm_finds_what_shares_no_word(minilm: MiniLM) -> None:
    query, near, far = embed(
        minilm, ["how do I reset my password", "I forgot my login credentials", "The weather is nice today"], None
    )

    assert cosine(query, near) > 0.6
    assert cosine(query, far) < 0.2


def test_a_text_has_the_same_vector_whatever_goes_with_it(minilm: MiniLM) -> None:
    """Texts that are filled up to the longest of their batch do not notice that."""
    texts = ["short", *(f"a text of {n} words " * n for n in range(1, 20))]

    together = embed(minilm, texts, None)

    for text, vector in zip(texts, together, strict=True):
        (alone,) = embed(minilm, [text], None)
        assert cosine(alone, vector) > 0.98  # weights of 8 bits round by the range of the whole batch


@pytest.mark.parametrize("text", ["", " ", "\u0000", "한국어 문장입니다", "🙂" * 600, "x" * 100_000])
def test_minilm_takes_any_text(minilm: MiniLM, text: str) -> None:
    (vector,) = embed(minilm, [text], 384)

    assert len(vector) == 384


def test_a_model_that_is_another_file_than_expected_is_refused(minilm: MiniLM, tmp_path: Path) -> None:
    changed = MiniLM()
    changed._file = tmp_path / "model.onnx"
    changed._file.write_bytes(b"another model")

    with pytest.raises(EmbeddingError, match="expected the file with the hash 8199be6f"):
        changed.embed(["text"])


@pytest.fixture
def exported(tmp_path: Path, minilm: MiniLM) -> Path:
    """A folder as an export makes it."""
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    shutil.copy(minilm._file, folder / "onnx" / "model.onnx")
    BertWordPieceTokenizer(str(onnx.VOCABULARY), lowercase=True).save(str(folder / "tokenizer.json"))
    return folder


def test_a_folder_with_a_model_gives_the_same_vectors(exported: Path, minilm: MiniLM) -> None:
    (mine,), (theirs,) = embed(OnnxEmbedder(exported), ["a text"], None), embed(minilm, ["a text"], None)

    assert cosine(mine, theirs) > 0.999


def test_prefixes_make_questions_of_questions(exported: Path, minilm: MiniLM) -> None:
    embedder = OnnxEmbedder(exported, query_prefix="query: ", passage_prefix="passage: ")

    (question,), (passage,) = embed(embedder, ["a text"], None, queries=True), embed(embedder, ["a text"], None)

    (expected,) = embed(minilm, ["query: a text"], None)
    assert cosine(question, expected) > 0.999
    assert cosine(question, passage) < 0.999


def test_an_identity_changes_with_the_files_and_the_settings(exported: Path) -> None:
    one = OnnxEmbedder(exported).identity
    others = [OnnxEmbedder(exported, pooling="cls").identity, OnnxEmbedder(exported, max_tokens=128).identity]
    with (exported / "tokenizer.json").open("a") as file:
        file.write(" ")

    assert len({one, *others, OnnxEmbedder(exported).identity}) == 4


@pytest.mark.parametrize(
    "given", [{"folder": 3}, {"pooling": "max"}, {"max_tokens": 0}, {"threads": True}, {"query_prefix": None}]
)
def test_a_model_that_cannot_be_is_refused(exported: Path, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        OnnxEmbedder(**{"folder": exported, **given})


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocumentError, match=r"expected model.onnx or onnx/model.onnx and tokenizer.json"):
        OnnxEmbedder(tmp_path)


class Server:
    """An embedding server that answers as told: a status, or vectors of the length of each text."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, object]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(asked)
                server.headers.append(dict(self.headers))
                data = [{"index": n, "embedding": [len(text), 1.0]} for n, text in enumerate(asked["input"])]
                status, body = server.answers.pop(0) if server.answers else (200, {"data": data[::-1]})
                written = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(written)))
                self.send_header("Retry-After", "2")
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, *said: object) -> None:
                """A test is quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_a_server_is_asked_in_batches_and_answers_in_any_order(server: Server) -> None:
    embedder = OpenAIEmbedder("small", url=server.url, api_key="sk-1", batch=2, dimensions=2)

    vectors = embedder.embed(["a", "bb", "ccc"])

    assert vectors == [[1, 1.0], [2, 1.0], [3, 1.0]]
    assert [asked["input"] for asked in server.asked] == [["a", "bb"], ["ccc"]]
    assert (server.asked[0]["model"], server.asked[0]["dimensions"]) == ("small", 2)
    assert server.headers[0]["Authorization"] == "Bearer sk-1"


def test_what_may_pass_is_tried_again_after_the_pause_that_the_server_asks_for(server: Server) -> None:
    pauses: list[float] = []
    server.answers = [(429, {"error": "slow down"}), (503, "")]
    embedder = OpenAIEmbedder("small", url=server.url, wait=pauses.append)

    assert embedder.embed(["a"]) == [[1, 1.0]]
    assert len(server.asked) == 3
    assert pauses == [2.0, pytest.approx(2.0)]


def test_what_will_not_pass_is_told_at_once_and_without_the_key(server: Server) -> None:
    server.answers = [(401, {"error": {"message": "no such key"}})]
    embedder = OpenAIEmbedder("small", url=server.url, api_key="sk-secret")

    with pytest.raises(EmbeddingError, match="no such key") as raised:
        embedder.embed(["a"])

    assert len(server.asked) == 1
    assert "sk-secret" not in f"{raised.value}{embedder.identity}"


def test_a_server_that_is_not_there_is_an_error_after_a_few_tries() -> None:
    embedder = OpenAIEmbedder("small", url="http://127.0.0.1:9/v1", retry=Retry(2, delay=0), wait=lambda pause: None)

    with pytest.raises(EmbeddingError, match="ConnectError.*2 times"):
        embedder.embed(["a"])


@pytest.mark.parametrize("body", [[], {"data": []}, {"data": [{"index": 0}]}, {"data": 3}, "text"])
def test_an_answer_that_is_none_is_told(server: Server, body: object) -> None:
    server.answers = [(200, body)]

    with pytest.raises(EmbeddingError, match="expected 1 vectors as JSON"):
        OpenAIEmbedder("small", url=server.url).embed(["a"])


def test_the_key_of_the_environment_goes_to_openai_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    OpenAIEmbedder("small", url=server.url).embed(["a"])

    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    "given", [{"model": ""}, {"url": "ftp://x"}, {"api_key": "a\nb"}, {"batch": 0}, {"timeout": -1}, {"retry": 3}]
)
def test_a_server_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        OpenAIEmbedder(**{"model": "small", **given})


class Broken(HashEmbedder):
    def __init__(self, made: object) -> None:
        super().__init__()
        self.made = made

    def embed(self, texts: Sequence[str]) -> Any:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


@pytest.mark.parametrize(
    "made",
    [
        [],
        [[]],
        [[1.0], [2.0]],
        [[float("nan")]],
        [[float("inf")]],
        ["text"],
        None,
        RuntimeError("x" * 10_000),
        [[1.0, 2.0]],
    ],
)
def test_what_is_no_vector_is_an_embedding_error(made: object) -> None:
    with pytest.raises(EmbeddingError) as raised:
        embed(Broken(made), ["text"], 1)

    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "given",
    [{"model": 3}, {"model": " "}, {"query_prefix": None}, {"passage_prefix": 3}, {"device": 0}, {"batch": 0}, {"batch": True}],
)  # fmt: skip
def test_a_sentence_transformer_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="SentenceTransformerEmbedder: expected"):
        SentenceTransformerEmbedder(**{"model": "folder", **given})


def test_without_sentence_transformers_it_is_said_what_to_install(tmp_path: Path) -> None:
    if find_spec("sentence_transformers") is not None:
        pytest.skip("it is installed")

    with pytest.raises(InvalidDocumentError, match=r"pip install 'tickwork\[sentence-transformers\]'"):
        SentenceTransformerEmbedder(tmp_path)
