"""`make mutants`: takes every guard out of the stores' statements and scripts, one at a time, and shows which nobody misses.

--store sqlite --place CLAIM_RUN     only some; --new only those that nobody is known to miss; --sample 5 a few of them
--by tests/stores/test_sqlite.py     only by these tests, which is quick: whoever they do not miss stays in the list as it was
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tests.mutants import killed
from tests.mutants.runner import HANGS, Verdict, files_of, judge, learn, tests_for
from tests.mutants.spared import why_spared
from tests.mutants.stores import STORES, Planted, mutants_of

MOST_NEW = 4
"""How many that are not in the list are tried with a sample."""


def main() -> int:
    options = read_options()
    known = killed.read()
    return 1 if any([_try_all(store, options, known) for store in options.store or STORES]) else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=STORES, action="append", help="only this one; may be repeated")
    parser.add_argument("--place", action="append", help="only this statement, schema or script; may be repeated")
    parser.add_argument("--new", action="store_true", help="only what nobody is known to miss")
    parser.add_argument(
        "--by", nargs="+", metavar="TEST", help="only by these tests; what they do not miss is left as it was"
    )
    parser.add_argument("--sample", type=int, help="only so many of the list, and what is not in it; writes nothing")
    parser.add_argument("--seed", default="1", help="of the sample")
    return parser.parse_args()


def _try_all(store: str, options: argparse.Namespace, known: dict[str, str]) -> int:
    """How many mutants nobody misses, of those that were chosen; what was found is written down."""
    mutants = mutants_of(store)
    mortal = [one for one in mutants if why_spared(one) is None]
    if options.sample is not None:
        verdicts = [*_run(store, _sample(mortal, known, options), lambda one: _by_list(one, known))]
        return sum(verdict.killer is None or verdict.is_broken for verdict in verdicts)
    chosen = [
        one for one in mortal
        if (options.place is None or one.place in options.place) and not (options.new and known.get(one.sign, killed.NOBODY) != killed.NOBODY)
    ]  # fmt: skip
    lessons = learn(store, options.by or files_of(store)) if chosen else []
    verdicts = []
    for verdict in _run(store, chosen, lambda one: tests_for(one, lessons, known.get(one.sign))):
        verdicts.append(verdict)
        if verdict.is_broken or (options.by is not None and verdict.killer is None):
            continue
        known[verdict.planted.sign] = verdict.killer or killed.NOBODY
        killed.write(known)  # each at once, as the whole takes its time
    standing = {one.sign for one in mortal}
    for sign in [*known]:
        if sign.startswith(f"{store} ") and sign not in standing:
            del known[sign]
    killed.write(known)
    print(f"{store}: {len(mutants)} guards, {len(mutants) - len(mortal)} of them spared", flush=True)
    return sum(verdict.killer is None or verdict.is_broken for verdict in verdicts)


def _sample(mortal: Sequence[Planted], known: dict[str, str], options: argparse.Namespace) -> list[Planted]:
    """What is new, and a few of which it is known who misses them."""
    dice = random.Random(options.seed)
    new = [one for one in mortal if one.sign not in known]
    listed = [one for one in mortal if known.get(one.sign, killed.NOBODY) not in (killed.NOBODY, HANGS)]
    few = [one for one in dice.sample(listed, len(listed)) if "test_machine" not in known[one.sign]][: options.sample]
    return [*new[:MOST_NEW], *few]


def _by_list(planted: Planted, known: dict[str, str]) -> Sequence[str]:
    killer = known.get(planted.sign)
    return files_of(planted.store) if killer is None else [killer]


def _run(store: str, mutants: Sequence[Planted], tests: Callable[[Planted], Sequence[str]]) -> Iterator[Verdict]:
    begun = time.monotonic()
    verdicts = []
    for verdict in judge(store, mutants, tests):
        verdicts.append(verdict)
        if verdict.killer is None:
            print(f"  nobody misses {verdict.planted.name}", flush=True)
        elif verdict.is_broken:
            print(f"  cannot be read: {verdict.planted.name}\n{verdict.why[-300:]}", flush=True)
        yield verdict
    ways = Counter(_way(verdict) for verdict in verdicts)
    told = ", ".join(f"{count} {way}" for way, count in ways.most_common())
    print(f"{store}: {len(mutants)} mutants: {told}; {time.monotonic() - begun:.0f} s", flush=True)


def _way(verdict: Verdict) -> str:
    match verdict.killer:
        case None:
            return "survive"
        case name if name == HANGS:
            return "hang"
        case test if "test_machine" in test:
            return "killed by random lives"
        case test if "test_statements" in test:
            return "seen in their plans"
        case test if test.count("/") == 2:
            return "killed by laws"
        case _:
            return "killed by tests of the store"


if __name__ == "__main__":
    sys.exit(main())
