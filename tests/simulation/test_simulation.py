"""The production loop and stores, simulated: what the oracle finds, that one seed is one history, and that it finds bugs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.bugs import BUGS
from tests.simulation.runner import find_first, live_through_many
from tests.simulation.world import a_world

SEEDS = 2_000
SECONDS = 45.0
"""No more seeds are begun after that: a slower machine lives through fewer, and says how many."""
FEWEST = 100
MISFIT = re.compile(r"(logged|a thread died of).*\b(AttributeError|NameError|TypeError): ")
"""What is seen of a planted bug that calls what production has no more: it breaks, and would be found for that alone."""


@pytest.mark.timeout(300)
def test_whatever_happens_every_tick_is_accounted_for(capsys: pytest.CaptureFixture[str]) -> None:
    tally = None
    for tally in live_through_many(range(SEEDS), seconds=SECONDS):
        assert not tally.findings, "\n".join(map(str, tally.findings))

    assert tally is not None
    with capsys.disabled():
        print(f"\nsimulated {tally}")
    assert tally.seeds >= FEWEST


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_within_a_thousand_seeds(name: str) -> None:
    """At the seed that is noted; if production has become another since, at one of a thousand."""
    bug = BUGS[name]

    seed, faults = find_first(name, [bug.seed, *range(1_000)])

    assert seed is not None
    assert not [fault for fault in faults if MISFIT.match(fault)], "it fits production no more, and plants no bug"
    with a_world(seed, bug.store) as world:
        assert world.live() == [], "without it all is well"


def test_one_seed_is_one_history() -> None:
    """In another process, too, where sets are walked in another order; on both stores."""
    program = (
        "import sys\n"
        "from tests.simulation.world import a_world\n"
        "for seed in 7, 11, 12, 13:\n"
        "    with a_world(seed) as world:\n"
        "        world.live()\n"
        "    print(*world.lines(), sep='\\n')\n"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip

    assert "on sqlite" in told[0]
    assert "on memory" in told[0]
    assert told[0] == told[1]


def test_a_seed_is_replayed_by_one_command() -> None:
    replay = [sys.executable, "-m", "tests.simulation", "--seed", "12"]
    well = subprocess.run(replay, capture_output=True, text=True, check=False)
    ill = subprocess.run([*replay, "--bug", "a retry forgets its attempt"], capture_output=True, text=True, check=False)

    assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "nothing is wrong")
    assert ill.returncode == 1
    assert "FAULT" in ill.stdout


def test_the_page_of_the_proof_lists_the_planted_bugs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "proof.md").read_text("utf-8")

    listed = [
        one
        for one in re.findall(r"^\| (.+?) \| (\d+) \|", page, re.MULTILINE)
        if one[0] not in ("sqlite", "postgresql", "redis")
    ]

    assert [(name, int(seed)) for name, seed in listed] == [(name, bug.seed) for name, bug in BUGS.items()]
