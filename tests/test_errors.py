"""The errors: their tree, their texts, and the names that the package exports."""

from __future__ import annotations

import inspect
import re

import pytest

import tickwork
from tickwork import errors
from tickwork.errors import JobExistsError, JobNotFoundError, RunNotFoundError, TickworkError, did_you_mean


def drawn_tree() -> dict[str, tuple[str, ...]]:
    """Class -> its parents, as the docstring of errors.py draws them."""
    tree: dict[str, tuple[str, ...]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"(?P<branch>[│├└─ ]*)(?P<name>\w+Error)(?: \((?P<also>\w+)\))?(?:\s{2,}|$)", line)
        if drawn is None:
            continue
        depth = len(drawn["branch"]) // 4
        del path[depth:]
        parents = (path[-1] if path else "Exception", *filter(None, [drawn["also"]]))
        tree[drawn["name"]] = parents
        path.append(drawn["name"])
    return tree


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        name: tuple(base.__name__ for base in value.__bases__)
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, TickworkError)
    }

    assert drawn_tree() == real


def test_every_error_is_exported_and_documented() -> None:
    for name in drawn_tree():
        assert getattr(tickwork, name) is getattr(errors, name)
        assert name in tickwork.__all__
        assert getattr(errors, name).__doc__


def test_what_the_package_exports() -> None:
    """Users hold on to these names: adding one is a decision, removing one a break."""
    assert sorted(set(tickwork.__all__) - set(drawn_tree())) == [
        "AllOf", "Answer", "AnyOf", "AsyncIOScheduler", "Backfill", "BackgroundScheduler", "BlockingScheduler",
        "CalendarIntervalTrigger", "CronTrigger", "DateTrigger", "IntervalTrigger", "Job", "LogLine", "Node", "NodeState",
        "Overlap", "ProcessExecutor", "Progress", "Retention", "Retry", "Run", "RunContext", "RunLog", "RunState", "Trigger", "Verdict",
        "abort_move", "current_run", "move",
    ]  # fmt: skip
    assert [*tickwork.__all__] == sorted(tickwork.__all__)
    assert all(hasattr(tickwork, name) for name in tickwork.__all__)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            JobExistsError("a"),
            "expected a new job id, got 'a', which exists: give another id=, or pass replace_existing=True",
        ),
        (JobNotFoundError("a"), "expected the id of a job, got 'a'"),
        (
            JobNotFoundError("nightli", ["nightly", "hourly"]),
            "expected the id of a job, got 'nightli' (did you mean 'nightly'?)",
        ),
        (JobNotFoundError("x", ["b", "a"]), "expected the id of a job, got 'x' (there are: 'a', 'b')"),
        (RunNotFoundError("x"), "expected the id of a run, got 'x': it never was, or it has been pruned"),
    ],
)
def test_the_texts(error: TickworkError, message: str) -> None:
    assert str(error) == message


def test_a_name_that_is_hardly_like_it_is_not_meant() -> None:
    assert did_you_mean("every", ["minutes", "retry"]) == " (there are: 'minutes', 'retry')"


def test_a_long_list_of_names_is_not_shown() -> None:
    assert did_you_mean("x", [f"name-{number}" for number in range(50)]) == ""
