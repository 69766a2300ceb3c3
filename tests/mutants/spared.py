"""Guards that no test can miss, and why."""

from __future__ import annotations

from tests.mutants.stores import Planted

REASONS: dict[str, str] = {}


def why_spared(planted: Planted) -> str | None:
    return REASONS.get(planted.name)
