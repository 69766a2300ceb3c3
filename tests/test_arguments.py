"""Arguments by annotation: what fits is kept as plain JSON, and given back as it was; what does not is refused early."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from tests.samples import make_job
from typing_extensions import TypedDict

from tickwork import BackgroundScheduler, InvalidJobError, RunContext
from tickwork.arguments import MAX_REMEMBERED, Arguments
from tickwork.codec import MAX_ARGUMENTS_LENGTH, read_json, write_json
from tickwork.executors.call import keep_arguments
from tickwork.testing import ManualScheduler

if TYPE_CHECKING:
    from fractions import Fraction  # noqa: F401  what type checkers alone see, in annotations below

DAY = date(2026, 3, 1)
NUMBER = UUID(int=7)
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


@dataclass(frozen=True)
class Span:
    first: date
    last: date


class Line(BaseModel):
    price: Decimal
    count: int = 1


class Order(BaseModel):
    id: UUID
    lines: list[Line] = []


class Renamed(BaseModel):
    folder: str = Field(alias="Folder")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


class Named(TypedDict):
    name: str
    since: date


class Larger(Order):
    note: str = ""


class Bare:
    """Nothing that JSON could become."""


class WithBare(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    bare: Any


class Fragile(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def breaks(cls, number: int) -> int:
        if number == 13:
            raise LookupError("no thirteen")
        return number


class Secret(BaseModel):
    password: SecretStr


class Forgetful(BaseModel):
    kept: int
    dropped: int = Field(default=0, exclude=True)


ORDER = Order(id=NUMBER, lines=[Line(price=Decimal("1.10"))])


def taking(annotation: Any, *, rest: bool = False) -> Any:
    """A function with one parameter of that annotation; it returns what it receives."""

    def takes(value: Any) -> Any:
        return value

    def takes_all(*value: Any, **named: Any) -> Any:
        return value, named

    func = takes_all if rest else takes
    func.__annotations__ = {"value": annotation, "named": annotation}
    return func


def kept(annotation: Any, value: Any) -> Any:
    """What the job keeps of an argument, as every store gives it back."""
    _, kwargs = keep_arguments(taking(annotation), [], {"value": value})
    assert read_json(write_json(kwargs)) == kwargs
    return kwargs["value"]


def given(annotation: Any, written: Any) -> Any:
    """What the function receives of it."""
    func = taking(annotation)
    return Arguments(func, ()).give([], {"value": written})[1]["value"]


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (date, DAY, "2026-03-01"),
        (datetime, datetime(2026, 3, 1, 9, tzinfo=UTC), "2026-03-01T09:00:00Z"),
        (time, time(9, 30), "09:30:00"),
        (timedelta, timedelta(hours=1), "PT1H"),
        (UUID, NUMBER, str(NUMBER)),
        (Decimal, Decimal("0.10"), "0.10"),
        (Path, Path("in/box"), "in/box"),
        (bytes, b"abc", "abc"),
        (Colour, Colour.RED, "red"),
        (Size, Size.LARGE, 3),
        (Span, Span(DAY, DAY), {"first": "2026-03-01", "last": "2026-03-01"}),
        (Named, {"name": "a", "since": DAY}, {"name": "a", "since": "2026-03-01"}),
        (Order, ORDER, {"id": str(NUMBER), "lines": [{"price": "1.10", "count": 1}]}),
        (Renamed, Renamed(Folder="in"), {"Folder": "in"}),
        (Strict, Strict(day=DAY), {"day": "2026-03-01"}),
        (Secret | None, None, None),
        (date | None, None, None),
        (date | int, 5, 5),
        (list[Order], [ORDER], [{"id": str(NUMBER), "lines": [{"price": "1.10", "count": 1}]}]),
        (dict[str, date], {"a": DAY}, {"a": "2026-03-01"}),
        (dict[int, str], {1: "one"}, {"1": "one"}),
        (tuple[int, date], (1, DAY), [1, "2026-03-01"]),
        (set[str], {"b", "a"}, ["a", "b"]),
        (Annotated[int, Field(gt=0)], 1, 1),
        ("date", DAY, "2026-03-01"),
        (list["Span"], [Span(DAY, DAY)], [{"first": "2026-03-01", "last": "2026-03-01"}]),
    ],
)  # fmt: skip
def test_what_is_given_comes_back_as_it_was(annotation: Any, value: Any, written: Any) -> None:
    assert kept(annotation, value) == written
    assert given(annotation, written) == value
    assert type(given(annotation, written)) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (date, "2026-03-01"),
        (Strict, {"day": "2026-03-01"}),
        (Order, {"id": str(NUMBER), "lines": [{"price": "1.10", "count": 1}]}),
        (Colour, "red"),
        (set[str], ["a", "b"]),
    ],
)
def test_the_json_of_a_value_is_as_good_as_the_value(annotation: Any, value: Any) -> None:
    """As it comes from a request, or from the job itself when it is modified."""
    assert kept(annotation, value) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "a"), (int, 5), (int, True), (float, 1.5), (float, 2), (bool, False), (None, None), (Any, [1]), (object, "x"),
        (list, [1, "a"]), (list[str], ["a"]), (Sequence[str], ["a"]), (Iterable[int], [1]), (dict, {"a": [1]}),
        (dict[str, int], {"a": 1}), (Mapping[str, list[int]], {"a": [1]}), (str | None, None), (int | list[str], ["a"]),
        (Literal["a", 1], 1), (UserId, 5), (Annotated[int, "in seconds"], 5), ("list[str]", ["a"]), ("Fraction", 0.5),
    ],
)  # fmt: skip
def test_plain_json_is_kept_as_it_is(annotation: Any, value: Any) -> None:
    assert kept(annotation, value) == value
    assert given(annotation, value) == value


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (str, 5, r"argument 'value' of taking.*takes: expected str, got 5"),
        (int, "5", "expected int, got '5'"),
        (int, 5.5, "expected int, got 5.5"),
        (int, None, "expected int, got None"),
        (float, True, "expected float, got True"),
        (float, "1", "expected float, got '1'"),
        (str | None, 5, r"expected str \| None, got 5"),
        (list[str], ["a", 5], r"expected list\[str\], got \['a', 5\]"),
        (list[str], "ab", r"expected list\[str\], got 'ab'"),
        (dict[str, int], {"a": "b"}, r"expected dict\[str, int\], got \{'a': 'b'\}"),
        (Literal["a", 1], True, r"expected Literal\['a', 1\], got True"),
        (UserId, "x", "expected .*UserId, got 'x'"),
        (date, "soon", "argument 'value' of .*: expected date, got 'soon': Input should be a valid date"),
        (Order, {"id": "x", "lines": [{}]}, "expected Order, got .*: id: Input should be a valid UUID.*; lines.0.price: Field required"),
        (Annotated[int, Field(gt=0)], 0, "Input should be greater than 0"),
        (Colour, "blue", "expected Colour, got 'blue': Input should be 'red'"),
        ("list[Unheard]", [object()], "expected an annotation that can be evaluated"),
        (Bare, {}, "expected an annotation that JSON can become .*, got Bare: pass what identifies it"),
        (Fragile, {"number": 13}, "expected Fragile, got .*, on which its validator raised LookupError: no thirteen"),
        (date, object(), "expected date, got <object"),
        ("Fraction", object(), "expected an annotation that can be evaluated, got 'Fraction': import what it names at run time"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_parameter_and_reason(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        kept(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Secret, Secret(password=SecretStr("x")), "got Secret.*, whose JSON is read as Secret"),
        (Order, Larger(id=NUMBER, note="more"), "got Larger.*, whose JSON is read as Order"),
        (Forgetful, Forgetful(kept=1, dropped=2), "whose JSON is read as Forgetful"),
        (str | date, DAY, "got datetime.date.*, whose JSON is read as '2026-03-01'"),
        (list[str | date], [DAY], "whose JSON is read as"),
        (bytes, b"\xff", "which cannot be written and read again: .*utf-8"),
        (WithBare, WithBare(bare=Bare()), "which cannot be written and read again: PydanticSerializationError"),
        (Order, Order.model_construct(id="no id"), "cannot be written and read again: id: Input should be a valid UUID"),
    ],
)  # fmt: skip
def test_what_would_not_come_back_as_it_was_is_refused(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=f"expected a value that can be kept as JSON, {message}|{message}"):
        kept(annotation, value)


def test_what_a_model_writes_is_plain_json_of_bounded_size() -> None:
    class Loose(BaseModel):
        anything: Any

    with pytest.raises(
        InvalidJobError, match=r"got Loose\(anything=inf\), whose JSON is read as Loose\(anything=None\)"
    ):
        kept(Loose, Loose(anything=float("inf")))
    with pytest.raises(InvalidJobError, match=f"kwargs: expected at most {MAX_ARGUMENTS_LENGTH} characters of JSON"):
        kept(Loose, Loose(anything="x" * MAX_ARGUMENTS_LENGTH))


def test_each_of_further_arguments_is_converted() -> None:
    func = taking(date, rest=True)

    args, kwargs = keep_arguments(func, [DAY, "2026-03-02"], {"third": DAY})

    assert (args, kwargs) == (("2026-03-01", "2026-03-02"), {"third": "2026-03-01"})
    assert Arguments(func, ()).give(args, kwargs) == ([DAY, date(2026, 3, 2)], {"third": DAY})


def test_arguments_that_fit_are_remembered_for_so_many_jobs() -> None:
    arguments = Arguments(taking(int), ())

    for number in range(MAX_REMEMBERED + 1):
        arguments.check_again(make_job(kwargs={"value": 5}, uid=number, revision=3))

    assert arguments.fitting == {MAX_REMEMBERED: 3}
    with pytest.raises(InvalidJobError, match="expected int, got 'x'"):
        arguments.check_again(make_job(kwargs={"value": "x"}))


# with a scheduler

received: list[Any] = []


def take_order(order: Order, day: date, run: RunContext, *, note: str = "") -> None:
    received.append((order, day, note, run.attempt))


async def take_order_async(order: Order, day: date = DAY) -> None:
    received.append((order, day))


def count_to(number: int) -> None:
    received.append(number)


def broken(by: Any = "2") -> None:
    received.append(1 + by)


@pytest.fixture
def scheduler() -> ManualScheduler:
    received.clear()
    scheduler = ManualScheduler()
    scheduler.start()
    return scheduler


def test_a_function_and_a_coroutine_receive_what_they_are_annotated_with(scheduler: ManualScheduler) -> None:
    job = scheduler.add_job(take_order, args=[ORDER], kwargs={"day": DAY, "note": "n"})
    scheduler.add_job(take_order_async, kwargs={"order": ORDER})

    scheduler.run_due()

    assert job.kwargs == {"day": "2026-03-01", "note": "n"}
    assert received == [(ORDER, DAY, "n", 1), (ORDER, DAY)]


def test_two_runs_do_not_share_what_they_receive(scheduler: ManualScheduler) -> None:
    scheduler.add_job(take_order_async, "interval", hours=1, kwargs={"order": ORDER})

    scheduler.advance(timedelta(hours=2))
    received[0][0].lines.clear()

    assert received[1][0] == ORDER


def test_modify_job_checks_and_converts_too(scheduler: ManualScheduler) -> None:
    scheduler.add_job(take_order_async, "interval", hours=1, id="job", kwargs={"order": ORDER})

    job = scheduler.modify_job("job", kwargs={"order": ORDER, "day": DAY})
    with pytest.raises(InvalidJobError, match="argument 'day' of take_order_async: expected date, got 'soon'"):
        scheduler.modify_job("job", kwargs={"order": ORDER, "day": "soon"})
    with pytest.raises(InvalidJobError, match="unexpected keyword argument|missing a required argument"):
        scheduler.modify_job("job", func=count_to)

    assert job.kwargs["day"] == "2026-03-01"
    assert scheduler.get_job("job") == job


def test_a_declared_job_is_the_same_at_each_start() -> None:
    """Also with a set, which is in another order in each process."""
    scheduler = ManualScheduler()
    scheduler.add_job(taking_names, "interval", hours=1, id="job", kwargs={"names": {"c", "a", "b"}})
    scheduler.start()

    job = scheduler.get_job("job")

    assert job is not None
    assert job.kwargs == {"names": ["a", "b", "c"]}


def taking_names(names: set[str]) -> None: ...


@pytest.mark.parametrize(
    ("func", "kwargs", "reason"),
    [
        (take_order_async, {"order": {"id": "gone"}}, "argument 'order' of take_order_async: expected Order, got .* from the store: id: Input should be a valid UUID.*modify_job"),
        (count_to, {"number": "three"}, "argument 'number' of count_to: expected int, got 'three'.*: the code has changed since .*, modify_job gives"),
        (count_to, {}, r"args, kwargs: expected what count_to\(number: int\) -> .* takes, got .*: missing .* 'number': the code has changed since .*, modify_job gives"),
        (take_order_async, {"order": {"id": str(ORDER.id)}, "copies": 2}, "expected what take_order_async.* takes, got args=.. kwargs={'order': Ellipsis, 'copies': Ellipsis}: .* unexpected .* 'copies': the code has changed"),
        (broken, {}, r"TypeError: unsupported operand type\(s\) for \+: 'int' and 'str'$"),
    ],
)  # fmt: skip
def test_what_does_not_fit_any_more_is_a_failed_run_that_says_why(
    scheduler: ManualScheduler, func: Any, kwargs: Any, reason: str
) -> None:
    """As when the code changed after the job was stored; the next runs are not in its way."""
    fitting = {take_order_async: {"order": ORDER}, count_to: {"number": 3}, broken: {"by": 3}}[func]
    job = scheduler.new_job(func, "interval", hours=1, id="old", kwargs=fitting)
    scheduler._store.add([job._replace(kwargs=kwargs)])  # as another version of the code wrote it

    scheduler.advance(timedelta(hours=2))
    scheduler.modify_job("old", kwargs=fitting)
    scheduler.advance(timedelta(hours=1))

    last, *failed = scheduler.get_runs("old")
    assert [run.state.value for run in failed] == ["failed", "failed"]
    assert failed[0].reason is not None
    assert len(received) == 1
    assert last.state.value == "succeeded"
    with pytest.raises(InvalidJobError, match=reason):
        raise InvalidJobError(failed[0].reason)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (["x" * 200_000, 1], {}),
        ([], {"n" * 200_000: 1}),
        ([], {"number": 1, "options": ["x" * 100] * 1_000}),
        ([], {"number": 1, "n" * 200_000: {1}}),
    ],
)  # fmt: skip
def test_what_a_function_does_not_take_is_refused_in_short(
    scheduler: ManualScheduler, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    with pytest.raises(InvalidJobError, match="kwargs") as refused:
        scheduler.add_job(count_to, args=args, kwargs=kwargs)

    assert len(str(refused.value)) < 1_000


# without pydantic

WITHOUT = """
import sys
sys.modules["pydantic"] = None
from datetime import date
from tickwork import InvalidJobError
from tickwork.testing import ManualScheduler

def plain(name: str, numbers: list[int]) -> None: ...
def rich(day: date) -> None: ...

scheduler = ManualScheduler()
scheduler.start()
scheduler.add_job(plain, kwargs={"name": "a", "numbers": [1]}, id="plain")
for func, kwargs in ((plain, {"name": 5, "numbers": []}), (rich, {"day": date(2026, 3, 1)})):
    try:
        scheduler.add_job(func, kwargs=kwargs)
    except InvalidJobError as error:
        print(error)
scheduler.run_due()
print(scheduler.get_runs("plain")[0].state)
"""


def test_without_pydantic_plain_json_is_checked_and_the_rest_names_the_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    plain, rich, state = done.stdout.splitlines()
    assert plain == "argument 'name' of plain: expected str, got 5"
    assert rich.startswith("argument 'day' of rich: expected pydantic 2 or later to read date, got ")
    assert "pip install 'tickwork[pydantic]'" in rich
    assert state == "succeeded"


def test_neither_importing_tickwork_nor_plain_arguments_import_pydantic() -> None:
    program = (
        "import sys, tickwork\n"
        "def plain(name: str, run: tickwork.RunContext) -> None: ...\n"
        "tickwork.BackgroundScheduler().add_job(plain, args=['a'])\n"
        "print([name for name in ('pydantic', 'fastapi', 'starlette') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"


def test_a_background_scheduler_knows_the_place_of_its_coroutines() -> None:
    assert BackgroundScheduler().surroundings.event_loop is not None
