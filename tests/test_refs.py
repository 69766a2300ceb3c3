"""Functions by name, there and back again."""

from __future__ import annotations

import functools
import os.path
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.samples import work

from tickwork.errors import FunctionReferenceError
from tickwork.refs import find_function, name_function


class Owner:
    @staticmethod
    def static() -> None: ...

    @classmethod
    def of_the_class(cls) -> None: ...

    def method(self) -> None: ...

    def __call__(self) -> None: ...


callable_object = Owner()
number = 5


@pytest.mark.parametrize("func", [work, Owner.static, os.path.join, len, Owner])
def test_what_has_a_name_is_found_by_it(func: Callable[..., Any]) -> None:
    assert find_function(name_function(func)) is func


def test_the_name_is_module_and_qualname() -> None:
    assert name_function(work) == "tests.samples:work"
    assert name_function(Owner.static) == "tests.test_refs:Owner.static"


def test_a_callable_object_is_found_by_the_name_it_is_given() -> None:
    assert find_function("tests.test_refs:callable_object") is callable_object


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (lambda: None, r"got a lambda at .*test_refs.py:\d+: define it with def at the top of a module"),
        (Owner().method, r"got a bound method at .*test_refs.py:\d+: its object exists only in this process"),
        (Owner.of_the_class, "got a bound method"),
        (
            functools.partial(work),
            "got a partial .*: define a function that makes this call, or pass args= and kwargs=",
        ),
        (callable_object, "got an object without a name .*: define a function that calls it"),
    ],
)
def test_what_other_processes_could_not_find_is_refused_with_a_cure(func: Callable[..., Any], message: str) -> None:
    with pytest.raises(
        FunctionReferenceError, match=f"func: expected a function that other processes can find by name, {message}"
    ):
        name_function(func)


@pytest.mark.parametrize("ref", ["", ":", "tests.samples", "tests.samples:", ":work", "work"])
def test_a_name_without_its_two_parts_is_refused(ref: str) -> None:
    with pytest.raises(
        FunctionReferenceError, match="expected 'module:qualname', as in 'app.jobs:refresh', got .*: put a colon"
    ):
        find_function(ref)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("tests.nowhere:work", "got 'tests.nowhere' in 'tests.nowhere:work', which raised ModuleNotFoundError"),
        ("tests.samples:wrk", "expected a callable under 'tests.samples:wrk', got nothing: look for a typing error"),
        ("tests.samples:work.more", "expected a callable under 'tests.samples:work.more', got nothing"),
        ("tests.test_refs:number", "expected a callable under 'tests.test_refs:number', got 5"),
    ],
)
def test_a_name_under_which_nothing_stands_is_refused(ref: str, message: str) -> None:
    with pytest.raises(FunctionReferenceError, match=message):
        find_function(ref)


@pytest.mark.parametrize("body", ["raise ValueError('broken')", "import sys; sys.exit(3)", "def ("])
def test_a_module_that_cannot_be_imported_is_an_error_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    (tmp_path / "cannot_be_imported.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        FunctionReferenceError, match="expected a module that can be imported, got 'cannot_be_imported'"
    ):
        find_function("cannot_be_imported:work")


def test_a_script_is_named_as_it_would_be_imported(tmp_path: Path) -> None:
    """So another script with a function of the same name is not mistaken for it."""
    (tmp_path / "shop.py").write_text(
        "from tickwork.refs import find_function, name_function\n"
        "def sell(): ...\n"
        "assert name_function(sell) == 'shop:sell', name_function(sell)\n"
        "assert find_function('shop:sell') is sell\n"
    )

    done = subprocess.run([sys.executable, "shop.py"], cwd=tmp_path, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_what_a_module_raises_when_asked_for_a_name_is_an_error_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_module_of_a_test.py").write_text("def __getattr__(name): raise RuntimeError('not today')\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(FunctionReferenceError, match="not today"):
        find_function("lazy_module_of_a_test:anything")
