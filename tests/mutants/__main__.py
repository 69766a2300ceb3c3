"""`make mutants`: takes every guard out of the stores' statements and scripts, one at a time, and shows which nobody misses."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.mutants import killed
from tests.mutants.runner import HANGS, Lesson, Verdict, judge, learn
from tests.mutants.spared import why_spared
from tests.mutants.stores import STORES, Planted, mutants_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--store", choices=STORES, action="append", help="only this one; may be given again")
    parser.add_argument("--place", action="append", help="only this statement, schema or script; may be given again")
    parser.add_argument("--new", action="store_true", help="only guards of which no test is known that misses them")
    options = parser.parse_args()
    known = killed.read()
    survivors = 0
    for store in options.store or STORES:
        mutants = [one for one in mutants_of(store) if options.place is None or one.place in options.place]
        chosen = [one for one in mutants if not options.new or one.sign not in known]
        verdicts = _judge(store, [one for one in chosen if why_spared(one) is None], known)
        known |= {verdict.planted.sign: verdict.killer for verdict in verdicts if verdict.killer is not None}
        for verdict in verdicts:
            if verdict.killer is None:
                known.pop(verdict.planted.sign, None)
        if options.place is None:
            standing = {one.sign for one in mutants}
            known = {
                sign: killer for sign, killer in known.items() if not sign.startswith(f"{store} ") or sign in standing
            }
        killed.write(known)
        survivors += sum(verdict.killer is None or verdict.is_broken for verdict in verdicts)
    return 1 if survivors else 0


def _judge(store: str, mutants: Sequence[Planted], known: dict[str, str]) -> list[Verdict]:
    begun = time.monotonic()
    lessons = learn(store) if mutants else []
    print(f"{store}: {len(mutants)} mutants, {len(lessons)} tests", flush=True)
    verdicts = []
    for verdict in judge(store, mutants, lambda one: _tests_for(one, lessons, known.get(one.sign))):
        verdicts.append(verdict)
        if verdict.killer is None:
            print(f"  survives: {verdict.planted.name}", flush=True)
        elif verdict.is_broken:
            print(f"  cannot be read: {verdict.planted.name}\n{verdict.why[-300:]}", flush=True)
    ways = Counter(_way(verdict) for verdict in verdicts)
    told = ", ".join(f"{count} {way}" for way, count in ways.most_common())
    spared = sum(why_spared(one) is not None for one in mutants_of(store))
    print(
        f"{store}: {told or 'none'}; {spared} spared, each with its reason; {time.monotonic() - begun:.0f} s",
        flush=True,
    )
    return verdicts


def _tests_for(planted: Planted, lessons: Sequence[Lesson], killer: str | None) -> Sequence[str]:
    """The test that killed it last time, and those that use what it changes."""
    everywhere = planted.place == "shared" or planted.place.endswith(".sql")
    tests = [lesson.test for lesson in lessons if everywhere or planted.place in lesson.used]
    tests = tests or [lesson.test for lesson in lessons]
    return [killer, *tests] if killer in tests else tests


def _way(verdict: Verdict) -> str:
    match verdict.killer:
        case None:
            return "survive"
        case killed if killed == HANGS:
            return "hang"
        case test if "test_machine" in test:
            return "killed by random lives"
        case test if "test_statements" in test:
            return "seen in their plans"
        case test if test.count("/") == 2:
            return "killed by laws"
        case _:
            return "killed by tests of the store"


sys.exit(main())
