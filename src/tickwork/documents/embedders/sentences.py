"""Models of sentence-transformers, run by torch on this machine.

The rule: files are read, and never fetched. A model is loaded when it first embeds.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from tickwork.checks import shown
from tickwork.documents.errors import EmbeddingError, InvalidDocumentError
from tickwork.documents.reasons import reason_of

MADE_OF = {".json", ".txt", ".model", ".safetensors", ".bin"}
"""The endings of the files that decide what a model says."""
MARK = "modules.json"
"""What says of a folder that sentence-transformers reads it."""


class SentenceTransformerEmbedder:
    """The *model* in a folder, as `SentenceTransformer.save` makes one; or by the name under which Hugging Face's cache
    on this machine has it.

    A model with prompts of its own for questions and passages is asked by them; *query_prefix* and *passage_prefix*
    are for one that wants them and has none. *device* is torch's word for where it runs ("cpu", "cuda"); without it
    sentence-transformers chooses. *batch* texts are embedded at once. No code of a model is run. Raises
    InvalidDocumentError.
    """

    def __init__(
        self, model: str | Path, *, query_prefix: str = "", passage_prefix: str = "", device: str | None = None,
        batch: int = 32,
    ) -> None:  # fmt: skip
        if not isinstance(model, str | Path) or not str(model).strip():
            raise InvalidDocumentError(f"SentenceTransformerEmbedder: expected a folder or a name, got {shown(model)}")
        if not (isinstance(query_prefix, str) and isinstance(passage_prefix, str)):
            raise InvalidDocumentError(
                f"SentenceTransformerEmbedder: expected prefixes as strings, got {shown(query_prefix)} and "
                f"{shown(passage_prefix)}"
            )
        if device is not None and not isinstance(device, str):
            raise InvalidDocumentError(f"SentenceTransformerEmbedder: expected a device as text, got {shown(device)}")
        if not isinstance(batch, int) or isinstance(batch, bool) or not 1 <= batch <= 4_096:
            raise InvalidDocumentError(
                f"SentenceTransformerEmbedder: expected batch as a whole number from 1 to 4,096, got {shown(batch)}"
            )
        if importlib.util.find_spec("sentence_transformers") is None:
            raise InvalidDocumentError(
                "SentenceTransformerEmbedder: expected the package sentence-transformers, got none: "
                "pip install 'tickwork[sentence-transformers]', which brings torch"
            )
        self._folder = Path(model) if Path(model).is_dir() else _find_cached(str(model))
        if not (self._folder / MARK).is_file():
            raise InvalidDocumentError(
                f"SentenceTransformerEmbedder: expected {MARK} in {self._folder}, got none: save the model there with "
                f"SentenceTransformer.save"
            )
        self.identity = f"sentence-transformers-1 {_digest(self._folder)[:16]} {query_prefix!r} {passage_prefix!r}"
        self._prefixes = query_prefix, passage_prefix
        self._device = device
        self._batch = batch
        self._one_at_a_time = threading.Lock()
        self._model: Any = None

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._embed("encode_document", [self._prefixes[1] + text for text in texts])

    def embed_queries(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._embed("encode_query", [self._prefixes[0] + text for text in texts])

    def _embed(self, verb: str, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        with self._one_at_a_time:  # its tokenizer cannot be asked by two threads at once
            self._model = self._model or self._load()
            made = getattr(self._model, verb)(texts, batch_size=self._batch, show_progress_bar=False)
        vectors: Sequence[Sequence[float]] = made.tolist()
        return vectors

    def _load(self) -> Any:
        from sentence_transformers import (  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  it takes seconds
            SentenceTransformer,
        )

        return SentenceTransformer(
            str(self._folder), device=self._device, local_files_only=True, trust_remote_code=False
        )


def _find_cached(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  it comes with sentence-transformers

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception as error:  # noqa: BLE001  whatever it raises, it is not there
        raise InvalidDocumentError(
            f"SentenceTransformerEmbedder: expected a folder, or a model in the cache of this machine, got "
            f"{shown(name)} ({reason_of(error)[:200]}): fetch it yourself, as with `hf download`"
        ) from None


def _digest(folder: Path) -> str:
    """Of all files that decide what the model says, with their names."""
    whole = sha256()
    try:
        for file in sorted(file for file in folder.rglob("*") if file.suffix in MADE_OF and file.is_file()):
            with file.open("rb") as opened:
                digest = file_digest(opened, "sha256").hexdigest()
            whole.update(f"{file.relative_to(folder).as_posix()} {digest}\n".encode())
    except OSError as error:
        raise EmbeddingError(f"expected to read the model in {folder}, got {error}") from error
    return whole.hexdigest()
