"""Documents for tests: a source that lists what the test says, and a process that syncs until it is killed at a step.

`python -m tests.documents.sample PLACE INDEX STEP TIMES REVISION` dies by SIGKILL when STEP is reached for the TIMESth time.
With the revision 0 it syncs nothing, and compacts an hour later.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tickwork.documents import Chunk, Doc, Documents, EmbeddingError, HashEmbedder
from tickwork.documents.syncing import Step
from tickwork.scheduler import Scheduler
from tickwork.testing import VirtualClock

DOCUMENTS, CHUNKS = 6, 4


class Lines:
    """A chunk for each line."""

    identity = "lines"

    def split(self, text: str) -> Sequence[Chunk]:
        return [Chunk(line) for line in text.splitlines()]


class CountingEmbedder(HashEmbedder):
    """Counts what it embeds, and fails for texts with a word in them."""

    def __init__(self) -> None:
        super().__init__(64)
        self.texts: list[str] = []
        self.poison: str | None = None

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        for text in texts:
            if self.poison is not None and self.poison in text:
                raise EmbeddingError("poisoned")
            self.texts.append(text)
        return super().embed(texts)


class Shop:
    """Documents with one source, which lists what `listed` says; an exception there is raised."""

    def __init__(
        self, place: Path | str, index: str | None = "exact", *, scheduler: Scheduler | None = None,
        clock: VirtualClock | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.clock = clock or VirtualClock()
        self.embedder = CountingEmbedder()
        self.docs = Documents(
            "kb", place, embedder=self.embedder, index=index, clock=self.clock, splitter=Lines(), scheduler=scheduler
        )
        self.docs.source("shop", **options)(self._list)
        self.listed: list[Any] = []

    def _list(self) -> Iterator[Any]:
        for listed in self.listed:
            if isinstance(listed, Exception):
                raise listed
            yield listed

    def sync(self, **options: Any) -> Any:
        return asyncio.run(self.docs.sync("shop", **options))

    def search(self, text: str, k: int = 5, **options: Any) -> Any:
        return asyncio.run(self.docs.search(text, k, **options))

    def texts(self, text: str = "apple", k: int = 1000, **options: Any) -> list[str]:
        return sorted(hit.text for hit in self.search(text, k, **options))


def revision(number: int) -> list[Doc]:
    """Each document as so many lines of one revision, the first of which never changes."""
    return [
        Doc(f"d{name}", "\n".join([f"d{name} title", *(f"d{name} r{number} line {line}" for line in range(1, CHUNKS))]))
        for name in range(DOCUMENTS)
    ]


def main(place: str, index: str, step: str, times: int, number: int) -> None:
    shop = Shop(place, index)
    reached = 0

    def die(at: Step) -> None:
        nonlocal reached
        reached += at == step
        if reached == times:
            os.kill(os.getpid(), signal.SIGKILL)

    shop.docs.reached = die
    if number == 0:
        shop.clock.advance(timedelta(hours=1))
        shop.docs.compact()
        return
    shop.listed = revision(number)
    shop.sync()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
