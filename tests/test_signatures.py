"""Signatures say what annotations mean, also where they are written as text; and errors show them shortly."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from tickwork.signatures import ANYTHING, described, name_of, signature, split

if TYPE_CHECKING:
    from fractions import Fraction


def takes(  # type: ignore[no-untyped-def]
    a: int, b: Annotated[list["Made"], "a word"], c: Fraction, d=5, *rest: float, **named: list[int]  # noqa: UP037
) -> None: ...  # fmt: skip


def logged(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return inner


class Made:
    def __init__(self, a: int) -> None: ...


class Called:
    def __call__(self, a: int) -> None: ...


def annotations(func: Any) -> dict[str, Any]:
    return {name: parameter.annotation for name, parameter in signature(func).parameters.items()}


def test_text_is_evaluated_where_it_was_written_and_stays_text_where_it_means_nothing() -> None:
    assert annotations(takes) == {
        "a": int, "b": Annotated[list[Made], "a word"], "c": "Fraction", "d": ANYTHING.empty, "rest": float, "named": list[int],
    }  # fmt: skip
    assert signature(takes).return_annotation is None


@pytest.mark.parametrize("func", [logged(takes), functools.partial(takes), functools.partial(logged(takes))])
def test_a_function_is_seen_through_what_is_wrapped_around_it(func: Any) -> None:
    assert annotations(func) == annotations(takes)


@pytest.mark.parametrize("func", [Made, Called(), Called().__call__])
def test_whatever_can_be_called_has_a_signature(func: Any) -> None:
    assert annotations(func) == {"a": int}


def test_what_has_no_signature_may_take_anything() -> None:
    assert signature(max) == ANYTHING
    assert str(ANYTHING) == "(*args, **kwargs)"


@pytest.mark.parametrize(
    ("func", "name"),
    [(takes, "takes"), (Made, "Made"), (Called(), "Called"), (functools.partial(takes, 1), "takes"), (len, "len")],
)
def test_functions_have_names(func: Any, name: str) -> None:
    assert name_of(func) == name


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [(int, "int"), (Made, "Made"), (list[int], "list[int]"), (int | None, "int | None"), ("Fraction", "'Fraction'")],
)
def test_annotations_are_shown_shortly(annotation: Any, shown: str) -> None:
    assert described(annotation) == shown


def test_what_stands_beside_a_type_is_told_apart() -> None:
    assert split(annotations(takes)["b"]) == (list[Made], ("a word",))
    assert split(int) == (int, ())
