"""Filters: what `where` asks of the metadata of a hit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tickwork.checks import shown
from tickwork.documents.errors import InvalidDocumentError


def check_where(where: object) -> None:
    """InvalidDocumentError unless it is a mapping of plain JSON, in which lists may be of any kind."""
    try:
        plain = isinstance(where, Mapping) and json.dumps({**where}, default=_as_list)
    except (TypeError, ValueError, RecursionError):
        plain = False
    if not plain or not all(isinstance(key, str) for key in where):  # type: ignore[attr-defined]
        raise InvalidDocumentError(
            f"search: expected where as a mapping of names to plain JSON, such as {{'lang': 'en'}}, got {shown(where)}"
        )


def fits(meta: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether *meta* has all that *where* asks for. None asks for what is not there."""
    return all(_has(meta.get(key), wanted) for key, wanted in where.items())


def read_where(entries: Iterable[tuple[str, str]]) -> dict[str, Any] | None:
    """A filter of what stands in a URL or on a command line: several values of a name are a choice. None: no filter."""
    where: dict[str, list[Any]] = {}
    for name, written in entries:
        where.setdefault(name, []).extend(_meanings(written))
    return where or None


def _meanings(written: str) -> list[str | int | float | bool]:
    """It may be a text, or the number or the truth that it looks like."""
    try:
        read = json.loads(written)
    except (ValueError, RecursionError):
        return [written]
    return [written, read] if isinstance(read, int | float) else [written]


def _has(value: Any, wanted: Any) -> bool:
    """Equal, or one of a list; and a list has what it contains."""
    if isinstance(wanted, list | tuple | set | frozenset):
        return any(_has(value, one) for one in wanted)
    if isinstance(value, list):
        return any(_same(one, wanted) for one in value)
    return _same(value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    """True is not 1, which Python would have it."""
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _as_list(value: object) -> list[Any]:
    if isinstance(value, set | frozenset):
        return [*value]
    raise TypeError
