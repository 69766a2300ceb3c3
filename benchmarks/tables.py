"""What a benchmark is made of: cases, the metrics they yield, and the table that shows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeAlias

NAMES = (
    "due",
    "add",
    "lateness",
    "tick",
    "triggers",
    "memory",
    "imports",
    "idle",
    "why",
    "year",
    "backlog",
    "crowd",
    "sessions",
    "documents",
)

Size: TypeAlias = Literal["full", "quick", "tiny"]
SIZES: tuple[Size, ...] = ("full", "quick", "tiny")

Result: TypeAlias = Mapping[str, float]
"""A figure for each metric of the table; one that does not apply may be left out."""
Results: TypeAlias = Mapping[str, Sequence[Result | None]]
"""What each case, by its name, yielded in each round. None: it failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """A function of this package that measures one thing in a process of its own, and what it is called with."""

    function: Callable[..., Result]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Metric:
    key: str
    title: str
    """With its unit, and which end of it is the good one."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cases that are measured in turns, so that they can be compared."""

    title: str
    cases: Mapping[str, Case]
    metrics: Sequence[Metric]
    bases: Sequence[str] = ()
    """The cases that the others are compared with: a column of ratios each."""
    together: bool = False
    """Whether all cases run at the same time, so that the same noise disturbs them all."""
    rounds: int | None = None
    """How often, whatever was asked for. None: as asked."""
    most_rounds: int | None = None
    """How often at most: a table that is slow or hardly varies needs no more. None: any."""


def as_text(table: Table, results: Results) -> str:
    """A block for each metric, a line for each case: the median, the spread, the ratios."""
    width = max(len(name) for name in table.cases)
    lines = [f"{table.title} ({max(len(measured) for measured in results.values())} rounds)"]
    for metric in table.metrics:
        bases = [base for base in table.bases if _figures(results[base], metric)]
        head = "".join(f"   x {base}" for base in bases)
        lines.append(f"  {metric.title:{width}}  {'median':>10}  {'min..max':>20}{head}")
        for name in table.cases:
            figures = _figures(results[name], metric)
            if figures:
                ratios = "".join(f"{_ratio(figures, results[base], metric):>{len(base) + 5}}" for base in bases)
                spread = f"{_short(min(figures))}..{_short(max(figures))}"
                lines.append(f"    {name:{width - 2}}  {_short(median(figures)):>10}  {spread:>20}{ratios}")
            elif None in results[name]:
                lines.append(f"    {name:{width - 2}}      FAILED")
    return "\n".join(lines)


def as_json(table: Table, results: Results) -> Mapping[str, Any]:
    return {"title": table.title, "metrics": {metric.key: metric.title for metric in table.metrics}, "results": results}


def _figures(measured: Sequence[Result | None], metric: Metric) -> list[float]:
    return [result[metric.key] for result in measured if result is not None and metric.key in result]


def _ratio(figures: Sequence[float], base: Sequence[Result | None], metric: Metric) -> str:
    beside = median(_figures(base, metric))
    return f"{median(figures) / beside:,.3g}" if beside > 0 else "-"


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
