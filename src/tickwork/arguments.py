"""Arguments by annotation: checked and written as plain JSON when a job is given them, read again before each call.

The rule: plain JSON (text, numbers, lists, ...) is checked here, strictly, and is the same in every process;
for any other annotation `tickwork.pydantic` is asked, which is imported when the first one is met.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from functools import cached_property
from inspect import Parameter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NewType, TypeAlias, TypeVar, Union, get_args, get_origin

from tickwork.checks import shown
from tickwork.codec import plain_arguments, write_json
from tickwork.errors import InvalidJobError
from tickwork.job import Job
from tickwork.refs import Function
from tickwork.signatures import described, name_of, signature, split

if TYPE_CHECKING:
    from tickwork.pydantic import Converter

Fits: TypeAlias = Callable[[Any], bool]

MAX_REMEMBERED = 10_000
"""Of how many jobs of a function it is remembered that their arguments fit."""
LISTS = (list, Sequence, MutableSequence, Collection, Iterable)
DICTS = (dict, Mapping, MutableMapping)
WORDS = (str, int, bool, NoneType)


class Arguments:
    """The arguments that one function takes from its job."""

    def __init__(self, func: Function, filled: Collection[str]) -> None:
        """*filled* names the parameters that receive something else."""
        of = name_of(func)
        self._by_position: list[Argument] = []
        self._by_name: dict[str, Argument] = {}
        self._further = self._further_named = Argument("an argument", Any)  # those that the signature will refuse
        for name, parameter in signature(func).parameters.items():
            argument = Argument(f"argument {name!r} of {of}", Any if name in filled else parameter.annotation)
            match parameter.kind:
                case Parameter.VAR_POSITIONAL:
                    self._further = argument
                case Parameter.VAR_KEYWORD:
                    self._further_named = argument
                case kind:
                    if kind is not Parameter.KEYWORD_ONLY:
                        self._by_position.append(argument)
                    if kind is not Parameter.POSITIONAL_ONLY:
                        self._by_name[name] = argument
        everything = [*self._by_position, *self._by_name.values(), self._further, self._further_named]
        self.as_kept = not any(argument.is_rich for argument in everything)
        """Whether a call receives them as the job keeps them."""
        self.unchecked = all(argument.fits is anything for argument in everything)
        """Whether any will do."""
        self.fitting: dict[int, int] = {}
        """Jobs whose arguments are known to fit, by uid, and in which revision: no code changes meanwhile."""

    def keep(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the job keeps of these, as plain JSON. InvalidJobError for what cannot be kept, and its place."""
        if isinstance(args, list | tuple) and isinstance(kwargs, Mapping):
            args = [self._at(index).keep(value) for index, value in enumerate(args)]
            kwargs = {name: self._named(name).keep(value) for name, value in kwargs.items()}
        return plain_arguments(args, kwargs)

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """InvalidJobError if one of these, plain JSON, does not fit its annotation."""
        for index, value in enumerate(args):
            self._at(index).check(value)
        for name, value in kwargs.items():
            self._named(name).check(value)

    def check_again(self, job: Job) -> None:
        """InvalidJobError if what a job keeps does not fit any more; asked once for each of its revisions."""
        self.check(job.args, job.kwargs)
        if len(self.fitting) >= MAX_REMEMBERED:
            self.fitting.clear()
        self.fitting[job.uid] = job.revision

    def give(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """What the function receives. InvalidJobError if what the job keeps does not fit its annotation any more."""
        return (
            [self._at(index).give(value) for index, value in enumerate(args)],
            {name: self._named(name).give(value) for name, value in kwargs.items()},
        )

    def _at(self, index: int) -> Argument:
        return self._by_position[index] if index < len(self._by_position) else self._further

    def _named(self, name: str) -> Argument:
        return self._by_name.get(name, self._further_named)


class Argument:
    """One of them."""

    def __init__(self, place: str, annotation: Any) -> None:
        self._place = place
        self._annotation = annotation
        self.fits = plain_check(annotation)
        """Tells whether plain JSON fits. None: it must be read first."""

    @property
    def is_rich(self) -> bool:
        return self.fits is None

    def keep(self, value: Any) -> Any:
        if self.is_rich:
            return self._converter.write(value)
        if isinstance(self._annotation, str):
            self._check_evaluated(value)
        return value

    def check(self, value: Any) -> None:
        if self.fits is not None and not self.fits(value):
            raise InvalidJobError(f"{self._place}: expected {described(self._annotation)}, got {shown(value)}")

    def give(self, value: Any) -> Any:
        if self.is_rich:
            return self._converter.read(write_json(value) or "null")
        self.check(value)
        return value

    @cached_property
    def _converter(self) -> Converter:
        try:
            from tickwork.pydantic import Converter  # noqa: PLC0415  the core works without it, and starts faster
        except ImportError as error:
            raise InvalidJobError(
                f"{self._place}: expected pydantic 2 or later to read {described(self._annotation)}, got {error}: "
                f"pip install 'tickwork[pydantic]', or annotate it as plain JSON (str, int, list, ...)"
            ) from None
        return Converter(self._place, self._annotation)

    def _check_evaluated(self, value: Any) -> None:
        """What is annotated with a name that exists for type checkers alone can only be plain JSON."""
        try:
            plain_arguments([value], {})
        except InvalidJobError:
            raise InvalidJobError(
                f"{self._place}: expected an annotation that can be evaluated, got {self._annotation!r}: "
                f"import what it names at run time, and not under TYPE_CHECKING alone"
            ) from None


def anything(value: Any) -> bool:
    """Any plain JSON fits."""
    return True


def plain_check(annotation: Any) -> Fits | None:
    """What tells whether plain JSON fits *annotation*; None if that means more than plain JSON has."""
    kind, beside = split(annotation)
    if any(not isinstance(word, str) for word in beside):  # what a validator is told: `Field(gt=0)`
        return None
    if kind is Any or kind is object or kind is Parameter.empty or isinstance(kind, str | TypeVar):
        return anything
    if kind is None or kind is NoneType:
        return lambda value: value is None
    if kind is float:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    if kind is str or kind is int or kind is bool:
        return lambda value: isinstance(value, kind)
    if isinstance(kind, NewType):
        return plain_check(kind.__supertype__)
    if hasattr(kind, "__value__"):  # type Name = ..., of Python 3.12
        return plain_check(kind.__value__)
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin is Union or origin is UnionType:
        return _any_of([plain_check(part) for part in parts])
    if origin is Literal and all(type(word) in WORDS for word in parts):
        return lambda value: any(value == word and type(value) is type(word) for word in parts)
    if origin in LISTS:
        return _list_of(plain_check(parts[0] if parts else Any))
    if origin in DICTS and (not parts or parts[0] is str or parts[0] is Any):
        return _dict_of(plain_check(parts[1] if parts else Any))
    return None


def _any_of(checks: Sequence[Fits | None]) -> Fits | None:
    fits = [check for check in checks if check is not None]
    return (lambda value: any(check(value) for check in fits)) if len(fits) == len(checks) else None


def _list_of(check: Fits | None) -> Fits | None:
    if check is None:
        return None
    return lambda value: isinstance(value, list) and (check is anything or all(map(check, value)))


def _dict_of(check: Fits | None) -> Fits | None:
    if check is None:
        return None
    return lambda value: isinstance(value, dict) and (check is anything or all(map(check, value.values())))
