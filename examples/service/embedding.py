"""The embedder of the handbook: the meaning of English, and the words of Korean and every other language."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tickwork.documents import Embedder

HANGUL = re.compile(r"[가-힣]{3,}")


class MeaningAndWords:
    """The vectors of two embedders, one behind the other. Any class with an `identity` and `embed` is an embedder.

    MiniLM was trained on English, and takes all Korean for much the same. So of what is not English only the words
    count; of Korean also their pairs of syllables, since endings make many words of one.
    """

    def __init__(self, meaning: Embedder | None, words: Embedder) -> None:
        self._meaning = meaning
        self._words = words
        self.identity = f"meaning and words 1: {meaning.identity if meaning else 'none'}, {words.identity}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        words = self._words.embed([with_pairs(text) for text in texts])
        if self._meaning is None:
            return words
        return [
            [*scaled(meaning, 1.0 if is_latin(text) else 0.0), *scaled(word, 1.0)]
            for text, meaning, word in zip(texts, self._meaning.embed(texts), words, strict=True)
        ]


def is_latin(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(letter < "\u0250" for letter in letters) > len(letters)


def with_pairs(text: str) -> str:
    """The text, and behind it the pairs of syllables of its Korean words."""
    pairs = [word[start : start + 2] for word in HANGUL.findall(text) for start in range(len(word) - 1)]
    return " ".join([text, *pairs])


def scaled(vector: Sequence[float], length: float) -> list[float]:
    factor = length / (math.hypot(*vector) or 1.0)
    return [number * factor for number in vector]
