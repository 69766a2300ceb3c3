"""Which test misses which guard, as `make mutants` found: it is asked first the next time.

NOBODY stands beside a guard that nobody was found to miss, or that was not tried yet: it is known, and is not held
against a change. `make mutants ARGS="--new"` tries those.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

LIST = Path(__file__).with_suffix(".txt")
NOBODY = "-"


def read() -> dict[str, str]:
    """By the sign of a mutant."""
    if not LIST.exists():
        return {}
    lines = (line.split(" ", 3) for line in LIST.read_text().splitlines())
    return {" ".join(sign): killer for *sign, killer in lines}


def write(known: Mapping[str, str]) -> None:
    LIST.write_text("".join(f"{sign} {killer}\n" for sign, killer in sorted(known.items())))
