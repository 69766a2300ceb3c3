"""Tables of text: columns that line up, also in Korean, and fit the terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

NARROWEST = 12
"""Cells; no column is made narrower than this to fit a terminal."""


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, keys: Sequence[str] = ()) -> int:
    """Print the *rows* under their *header*. A pipe gets them whole; on a terminal the last column gives way.

    *keys* are one more column with its header, which is there to be copied and never cut: where the terminal is too
    narrow for it, each key stands below its row.
    """
    table = [header, *([plain_text(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    room, key_room = columns - 2 * (len(widths) - 1), max((2 + len(key) for key in keys), default=0)
    beside = sum(widths[:-1]) + min(widths[-1], NARROWEST) + key_room <= room
    while sum(widths) > room - key_room * beside and max(widths) > NARROWEST:
        widths[-1 if widths[-1] > NARROWEST else widths.index(max(widths))] -= 1
    for row, key in zip_longest(table, keys):
        line = "  ".join(_fit(cell, width) for cell, width in zip(row, widths, strict=True))
        if key is not None:
            line = f"{line}  {key}" if beside else f"{line.rstrip()}\n  {key}"
        print(line.rstrip())
    return 0


def _fit(text: str, width: int) -> str:
    """*text* in exactly *width* cells of a terminal."""
    if _width(text) > width:
        while _width(text) >= width:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """How many cells of a terminal it takes: two for each wide letter, as in Korean."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def plain_text(text: str) -> str:
    """One line without control characters: what a job wrote must not command the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
