"""Values as they are stored: compact JSON in UTF-8, never pickle."""

from __future__ import annotations

import json
from typing import Any

from tickwork.checks import shown
from tickwork.errors import InvalidSessionError

LONGEST_NAME = 200


def write(name: str, value: object, *, most: int) -> bytes:
    """*value* as JSON of at most so many bytes. Raises InvalidSessionError."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidSessionError(
            f"{name}: expected text that can be written in UTF-8, got half a surrogate pair in {shown(value)}"
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSessionError(
            f"{name}: expected a value that JSON can write (text, numbers, lists, dicts), got {shown(value)}: "
            f"{shown(str(error))}"
        ) from None
    if len(written) > most:
        raise InvalidSessionError(f"{name}: expected at most {most:,} bytes of JSON, got {len(written):,}: shorten it")
    return written


def read(written: bytes | str) -> Any:
    return json.loads(written)


def check_name(name: str, text: object) -> str:
    """InvalidSessionError unless *text* is 1 to 200 printable characters."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise InvalidSessionError(f"{name}: expected 1 to {LONGEST_NAME} printable characters, got {shown(text)}")
    return text
