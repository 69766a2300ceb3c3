"""A worker process of tests, which does what it is told: `python -m tests.documents.worker PLACE INDEX`.

Each line of its input is JSON, `[verb, *arguments]`; each line of its output is the answer, or `{"error": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.documents.sample import Lines

from tickwork.documents import Doc, Documents, HashEmbedder


class Worker:
    """The process, as a test sees it."""

    def __init__(self, place: Path | str, index: str = "managed") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.documents.worker", str(place), index],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def ask(self, verb: str, *arguments: object) -> Any:
        self.tell(verb, *arguments)
        return self.answer()

    def tell(self, verb: str, *arguments: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([verb, *arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(answer["error"])
        return answer


def main(place: str, index: str) -> None:
    listed: dict[str, str] = {}
    docs = Documents("kb", place, embedder=HashEmbedder(64), index=index, splitter=Lines())
    docs.source("all", partial=True)(lambda: [Doc(id, text) for id, text in listed.items()])

    def sync(documents: dict[str, str]) -> int:
        listed.clear()
        listed.update(documents)
        return asyncio.run(docs.sync("all")).changed

    def search(text: str, k: int = 5) -> list[str]:
        return [hit.text for hit in asyncio.run(docs.search(text, k))]

    verbs = {
        "sync": sync, "search": search, "trouble": lambda: docs.trouble, "verify": lambda: docs.verify(),
        "rebuild": docs.rebuild, "close": docs.close, "take turn": lambda: docs._opened().turn.__enter__() and None,
        "compact": lambda: docs.compact(),
    }  # fmt: skip
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = verbs[verb](*arguments)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    docs.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
