"""`python -m tests.simulation --seed 7` replays a seed and prints its history; `--seeds 100000` looks for one that fails."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from tests.simulation.bugs import BUGS
from tests.simulation.runner import find_first, live_through_many
from tests.simulation.world import a_world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay this one and print its history")
    what.add_argument("--seeds", type=int, metavar="COUNT", help="live through so many")
    what.add_argument("--find", action="store_true", help="find the first seed that brings each planted bug to light")
    parser.add_argument("--first", type=int, default=0, help="the first of --seeds (0)")
    parser.add_argument("--bug", choices=[*BUGS], help="with a planted bug")
    asked = parser.parse_args()
    if asked.seed is not None:
        return replay(asked.seed, asked.bug)
    if asked.find:
        return find(asked.bug)
    return live_long(range(asked.first, asked.first + asked.seeds))


def replay(seed: int, bug: str | None) -> int:
    planted = BUGS[bug].planted() if bug else nullcontext()
    with planted, a_world(seed, BUGS[bug].store if bug else None) as world:
        faults = world.live()
    print("\n".join(world.lines()))
    print(f"digest {world.digest()}")
    print("\n".join(faults) or "nothing is wrong")
    return 1 if faults else 0


def live_long(seeds: range) -> int:
    """Through all of them, whatever is found."""
    shown = 0
    tally = None
    for tally in live_through_many(seeds):
        for finding in tally.findings[shown:]:
            print(finding, flush=True)
        shown = len(tally.findings)
        print(f"\r{tally}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(tally or "no seeds")
    return 1 if shown else 0


def find(bug: str | None) -> int:
    missed = 0
    for name in [bug] if bug else [*BUGS]:
        seed, faults = find_first(name)
        missed += seed is None
        print(
            f"{name:40} {'in none of a thousand' if seed is None else seed:>6}  {faults[0] if faults else ''}",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
