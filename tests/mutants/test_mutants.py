"""No guard of a store is left that nobody misses: those that are new, and a few of the others, drawn by the day's seed.

`make mutants` tries all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from textwrap import dedent

import pytest
from tests.mutants import killed
from tests.mutants.guards import mutants_of_lua, mutants_of_schema, mutants_of_sql
from tests.mutants.spared import GUARDS, PLACES, names_of
from tests.mutants.stores import STORES, mutants_of

SAMPLE = 5


@pytest.mark.parametrize(
    ("text", "guards"),
    [
        ("delete from a where b = ? and c > 1", ["b = ? -> true", "c > 1 -> true"]),
        ("select a from b where c between ? and ? and d is null order by e", ["c between ? and ? -> true", "d is null -> true"]),
        ("update a set b = 1 where c = 1 and (d = 2 or (e = 3 and f = 4)) returning b",
         ["d = 2 -> false", "e = 3 -> true", "f = 4 -> true", "(e = 3 and f = 4) -> false", "(d = 2 or (e = 3 and f = 4)) -> true", "c = 1 -> true"]),
        ("select a from b where not exists (select 1 from c where d = 1 and e)",
         ["not exists (select 1 from c where d = 1 and e) -> true", "d = 1 -> true", "e -> true"]),
        ("select case when a then b else c end", ["a -> true", "a -> false"]),
        ("insert or ignore into a values (?)", ["insert or ignore -> left out"]),
        ("insert into a values (1) on conflict do nothing", ["on conflict do nothing -> left out"]),
        ("insert into a values (1) on conflict (b) do update set c = 1", []),
        ("select a from b join c on c.d = b.d where e = 'x and y' for update", ["c.d = b.d -> true", "e = 'x and y' -> true"]),
    ],
)  # fmt: skip
def test_each_condition_of_a_statement_is_a_guard(text: str, guards: Sequence[str]) -> None:
    assert sorted(one.guard.partition(" :: ")[2] for one in mutants_of_sql(text)) == sorted(guards)


@pytest.mark.parametrize(
    ("text", "guards"),
    [
        ("if a then b() end", ["a -> true", "a -> false"]),
        ("if not a or b ~= c then\n  return false\nend", ["not a -> false", "b ~= c -> false"]),
        (
            "if a and (b or c == 1) then d() end",
            ["a -> true", "b -> false", "c == 1 -> false", "(b or c == 1) -> true"],
        ),
        ("return a == 1 and b(c)", ["a == 1 -> true", "b(c) -> true"]),
        ("local a = b ~= null and c or d", ["b ~= null -> true", "b ~= null and c -> false"]),
        ("local a = b and c(b)  -- if b == 1", []),
        ("local a, b = c, d > 1", ["d > 1 -> true", "d > 1 -> false"]),
    ],
)
def test_whatever_a_script_asks_or_compares_is_a_guard(text: str, guards: Sequence[str]) -> None:
    assert sorted(one.guard.partition(" :: ")[2] for one in mutants_of_lua(text)) == sorted(guards)


def test_each_constraint_of_a_schema_is_a_guard() -> None:
    schema = dedent("""
        create table a (
            id text not null unique,
            b  integer primary key references c (d) on delete cascade,
            unique (id, b)
        );
    """)

    texts = [one.text for one in mutants_of_schema(schema)]

    assert len(texts) == 3
    assert "    b  integer primary key references c (d) on delete cascade\n)" in texts[0]
    assert "id text not null,\n" in texts[1]
    assert "references c (d),\n" in texts[2]


def test_each_reason_spares_a_guard_that_there_is() -> None:
    planted = [one for store in STORES for one in mutants_of(store)]

    def spares(place: str, guard: str) -> bool:
        return any(f"{one.store} {one.place}" == place and guard in names_of(one) for one in planted)

    idle = [(place, guard) for place, guards in GUARDS.items() for guard in guards if not spares(place, guard)]

    assert idle == []
    assert {*PLACES} <= {f"{one.store} {one.place}" for one in planted}


def test_who_is_said_to_miss_a_guard_is_a_test_that_there_is() -> None:
    """Who renames a test, or gives it parameters, names it anew in killed.txt."""
    listed = {killer for killer in killed.read().values() if "::" in killer}
    files = sorted({killer.partition("::")[0] for killer in listed})

    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip

    assert listed - {*found} == set()


@pytest.mark.parametrize("store", STORES)
@pytest.mark.timeout(300)
def test_no_guard_is_left_that_nobody_misses(store: str) -> None:
    """In a process of its own, from which children are forked."""
    seed = os.environ.get("TICKWORK_MUTANTS_SEED", f"{datetime.now(UTC):%Y-%m-%d}")

    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants", "--store", store, "--sample", str(SAMPLE), "--seed", seed],
        check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}{done.stderr}(TICKWORK_MUTANTS_SEED={seed})"
