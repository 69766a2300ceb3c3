"""An embedder behind a URL that speaks as OpenAI does: OpenAI, Ollama, vLLM, LM Studio, llama.cpp and others.

The rule: what may pass is tried again, with pauses, a few times; what will not is told at once, and no error and
no identity shows the key.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tickwork.checks import check_whole, shown
from tickwork.documents.errors import EmbeddingError, InvalidDocumentError
from tickwork.durations import Duration, read_duration
from tickwork.errors import InvalidJobError
from tickwork.policies import Retry

OPENAI = "https://api.openai.com/v1"
OFTEN_ENOUGH = Retry(max_attempts=4, delay=0.5, backoff=3, max_delay=10, jitter=0.2)
TRIED_AGAIN = {408, 409, 425, 429, *range(500, 600)}
LONGEST_RETRY_AFTER = 20.0
"""Seconds. A server may ask for a pause, but not for a longer one."""
MOST_TOLD = 300


class OpenAIEmbedder:
    """*model* at *url*, which ends before `/embeddings`.

    *api_key* is sent as a bearer token; without one, the environment's `OPENAI_API_KEY`, and that to OpenAI alone.
    *dimensions* asks for shorter vectors, where the model has them. *batch* texts go in one request, which may take
    *timeout* (seconds); *retry* says how often what failed is sent again: no answer, 408, 409, 425, 429 or 5xx.
    Models such as E5 want a *query_prefix* and a *passage_prefix*. Raises InvalidDocumentError.
    """

    def __init__(
        self, model: str, *, url: str = OPENAI, api_key: str | None = None, dimensions: int | None = None,
        batch: int = 64, timeout: Duration = 30.0, retry: Retry = OFTEN_ENOUGH, query_prefix: str = "",
        passage_prefix: str = "", wait: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        if not isinstance(model, str) or not model.strip():
            raise InvalidDocumentError(f"OpenAIEmbedder: expected the name of a model, got {shown(model)}")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise InvalidDocumentError(
                f"OpenAIEmbedder: expected a url such as 'http://localhost:11434/v1', got {shown(url)}"
            )
        if not isinstance(retry, Retry):
            raise InvalidDocumentError(f"OpenAIEmbedder: expected retry as a tickwork.Retry, got {shown(retry)}")
        if not (isinstance(query_prefix, str) and isinstance(passage_prefix, str)):
            raise InvalidDocumentError(
                f"OpenAIEmbedder: expected prefixes as strings, got {shown(query_prefix)} and {shown(passage_prefix)}"
            )
        key = api_key or (os.environ.get("OPENAI_API_KEY") if url == OPENAI else None)
        if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable()):
            raise InvalidDocumentError("OpenAIEmbedder: expected an api_key of plain text, got something else")
        try:
            check_whole("OpenAIEmbedder batch", batch, most=2_048)
            if dimensions is not None:
                check_whole("OpenAIEmbedder dimensions", dimensions, most=100_000)
            patience = read_duration("OpenAIEmbedder timeout", timeout).total_seconds()
        except InvalidJobError as error:
            raise InvalidDocumentError(str(error)) from None
        self.identity = f"openai-1 {model} {dimensions or 'full'} {query_prefix!r} {passage_prefix!r}"
        self._model = model
        self._url = f"{url.rstrip('/')}/embeddings"
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._dimensions = dimensions
        self._batch = batch
        self._timeout = patience
        self._retry = retry
        self._prefixes = query_prefix, passage_prefix
        self._wait = wait
        self._making = threading.Lock()
        self._client: httpx.Client | None = None

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._embed([self._prefixes[1] + text for text in texts])

    def embed_queries(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._embed([self._prefixes[0] + text for text in texts])

    def _embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: list[Sequence[float]] = []
        for start in range(0, len(texts), self._batch):
            some = texts[start : start + self._batch]
            vectors += self._read(self._post(some), len(some))
        return vectors

    def _post(self, texts: Sequence[str]) -> httpx.Response:
        body: dict[str, Any] = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        attempt = 0
        while True:
            attempt += 1
            asked_for = 0.0
            try:
                answer = self._opened().post(self._url, json=body, headers=self._headers)
                if answer.is_success:
                    return answer
                reason = f"{answer.status_code} {' '.join(answer.text.split())[:MOST_TOLD]}"
                again = answer.status_code in TRIED_AGAIN
                asked_for = _retry_after(answer)
            except httpx.TransportError as error:
                reason, again = f"{type(error).__name__}: {error}", True
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason, again = f"{type(error).__name__}: {error}", False
            if not again or not self._retry.allows(attempt, None):
                tries = "" if attempt == 1 else f", {attempt} times"
                raise EmbeddingError(f"expected vectors of {self._model} from {self._url}, got {reason}{tries}")
            self._wait(max(self._retry.wait_after(attempt, self._model).total_seconds(), asked_for))

    def _read(self, answer: httpx.Response, wanted: int) -> Sequence[Sequence[float]]:
        try:
            vectors = {int(one["index"]): one["embedding"] for one in answer.json()["data"]}
            return [vectors[place] for place in range(wanted)]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise EmbeddingError(
                f"expected {wanted} vectors as JSON from {self._url}, got {shown(answer.text)}: is it an address that "
                f"speaks as OpenAI does?"
            ) from error

    def _opened(self) -> httpx.Client:
        """One for all threads, made in the process that uses it."""
        with self._making:
            if self._client is None:
                self._client = httpx.Client(timeout=self._timeout)
            return self._client


def _retry_after(answer: httpx.Response) -> float:
    asked = answer.headers.get("Retry-After", "").strip()
    return min(float(asked), LONGEST_RETRY_AFTER) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else 0.0
