"""Values as they are stored: compact JSON in UTF-8, never pickle."""

from __future__ import annotations

import json
from typing import Any

from tickwork.checks import shown
from tickwork.errors import InvalidSessionError

LONGEST_NAME = 200
DEEPEST = 100
"""Lists and dicts in each other: what is written near the bottom of the stack must be read far up in it."""


def write(name: str, value: object, *, most: int) -> bytes:
    """*value* as JSON of at most so many bytes. Raises InvalidSessionError."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidSessionError(
            f"{name}: expected text that can be written in UTF-8, got half a surrogate pair in {shown(value)}"
        ) from None
    except Exception as error:  # noqa: BLE001  a subclass of dict may raise anything
        raise InvalidSessionError(
            f"{name}: expected a value that JSON can write (text, numbers, lists, dicts), got {shown(value)}: "
            f"{shown(str(error))}"
        ) from None
    if len(written) > most:
        raise InvalidSessionError(f"{name}: expected at most {most:,} bytes of JSON, got {len(written):,}: shorten it")
    if written.count(b"[") + written.count(b"{") > DEEPEST and _depth(value) > DEEPEST:
        raise InvalidSessionError(f"{name}: expected at most {DEEPEST} lists and dicts in each other, got more")
    return written


def read(written: bytes | str) -> Any:
    return json.loads(written)


def check_name(name: str, text: object) -> str:
    """InvalidSessionError unless *text* is 1 to 200 printable characters."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise InvalidSessionError(f"{name}: expected 1 to {LONGEST_NAME} printable characters, got {shown(text)}")
    return text


def _depth(value: object) -> int:
    """How many lists and dicts are in each other; no more than DEEPEST and one are counted."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        level = [inner for outer in level for inner in _inside(outer)]
        depth += 1
    return depth


def _inside(value: object) -> list[object]:
    """The lists and dicts that are in *value*."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [inner for inner in inside if isinstance(inner, dict | list | tuple)]
