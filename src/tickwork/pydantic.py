"""Values by annotation, to JSON and back: whatever pydantic can read.

The rule: only what comes back as it went in is written. So what a function receives in another process, a year
later, is what the job was given.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter
from pydantic import ValidationError as Misfit

from tickwork.checks import shown
from tickwork.errors import InvalidJobError
from tickwork.signatures import described

MAX_COMPARED = 50
"""How deep values lie in each other that are compared with what came back."""


class Converter:
    """Values of one annotation: written as plain JSON when a job is added, read again before each call."""

    def __init__(self, place: str, annotation: Any) -> None:
        """*place* names the parameter in errors. Raises InvalidJobError if no JSON can become such a value."""
        self._place = place
        self._expected = described(annotation)
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            # For a class that it has no schema for its text would advise on models.
            why = "" if isinstance(error, PydanticSchemaGenerationError) else f" ({_first_line(error)})"
            raise InvalidJobError(
                f"{place}: expected an annotation that JSON can become (a pydantic model, a dataclass, a date, ...), "
                f"got {self._expected}{why}: pass what identifies it, and look it up in the job"
            ) from error

    def write(self, value: Any) -> Any:
        """*value*, or what it stands for, as JSON from which it can be read; InvalidJobError if there is none."""
        valid = self._validated(value)
        why = ""
        for by_alias in (True, False):
            try:
                written = self._adapter.dump_python(valid, mode="json", by_alias=by_alias, warnings=False)
                again = self._adapter.validate_json(self._adapter.dump_json(valid, by_alias=by_alias, warnings=False))
            except Exception as error:  # noqa: BLE001  a serializer of the user's may raise anything
                why = why or f"which cannot be written and read again: {_explained(error)}"
                continue
            if is_same(again, valid):
                return sorted(written, key=repr) if isinstance(valid, set | frozenset) else written
            why = why or f"whose JSON is read as {shown(again)}"
        raise InvalidJobError(
            f"{self._place}: expected a value that can be kept as JSON, got {shown(value)}, {why}: "
            f"pass what identifies it, and look it up in the job"
        )

    def read(self, text: str) -> Any:
        """The value that was written as the JSON *text*; InvalidJobError if it does not fit the annotation any more."""
        try:
            return self._adapter.validate_json(text)
        except Misfit as error:
            raise InvalidJobError(
                f"{self._place}: expected {self._expected}, got {shown(text)} from the store: {_explained(error)}"
            ) from None

    def _validated(self, value: Any) -> Any:
        try:
            return self._adapter.validate_python(value)
        except Misfit as error:
            why = _explained(error)
            with suppress(Exception):  # a strict model takes its JSON as JSON only
                return self._adapter.validate_json(json.dumps(value))
        except Exception as error:
            raise InvalidJobError(
                f"{self._place}: expected {self._expected}, got {shown(value)}, on which its validator raised "
                f"{type(error).__name__}: {error}"
            ) from error
        raise InvalidJobError(f"{self._place}: expected {self._expected}, got {shown(value)}: {why}")


def is_same(one: Any, other: Any, depth: int = 0) -> bool:
    """Whether two values say the same. What has no equality of its own does if its parts do."""
    if type(one) is not type(other) or depth > MAX_COMPARED:
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(
            is_same(mine, yours, depth + 1) for mine, yours in zip(one, other, strict=True)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key], depth + 1) for key in one)
    if one == other:
        return True
    parts = getattr(one, "__dict__", None)
    return bool(parts) and is_same(parts, vars(other), depth + 1)


def _explained(error: Exception) -> str:
    """Why a value does not fit, in one line; with the places inside it."""
    if not isinstance(error, Misfit):
        return f"{type(error).__name__}: {_first_line(error)}"
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ") for fault in faults[:3]]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(lines) + more


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
