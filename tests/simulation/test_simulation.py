"""The production loop and stores, simulated: what the oracle finds, that one seed is one history, and that it finds bugs."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.simulation.runner import live_through_many

SEEDS = 2_000
SECONDS = 50.0
"""No more seeds are begun after that, on a machine that is slower."""
FEWEST = 100


def test_whatever_happens_every_tick_is_accounted_for() -> None:
    tally = None
    for tally in live_through_many(range(SEEDS), seconds=SECONDS):
        assert not tally.findings, "\n".join(map(str, tally.findings))

    assert tally is not None
    print(tally)
    assert tally.seeds >= FEWEST


def test_one_seed_is_one_history() -> None:
    """In another process, too, where sets are walked in another order."""
    seeds = ["7", "11", "12"]
    program = (
        "import sys\nfrom tests.simulation.world import a_world\n"
        "for seed in sys.argv[1:]:\n  with a_world(int(seed)) as world:\n    world.live()\n    print(*world.lines(), sep='\\n')"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program, *seeds], env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip

    assert len(told[0].splitlines()) > 100
    assert told[0] == told[1]
