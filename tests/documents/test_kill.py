"""A process that is killed at any step of a sync leaves each document wholly old or wholly new, and nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from tests.documents.sample import CHUNKS, DOCUMENTS, Shop, revision

from tickwork.documents.syncing import Step

AFTER_A_REBIRTH = {Step.UNINDEXED, Step.CLEARED}
"""Steps that come only when something died more than a grace ago."""

AT_ANY_STEP = (Step.EMBEDDED, Step.STAGED, Step.INDEXED, Step.FLIPPED, Step.FINISHED)


def killed_at(step: Step, place: Path | str, index: str, number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.documents.sample", str(place), index, step, "1", str(number)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def revisions_found(shop: Shop) -> set[str]:
    """The revisions that a search shows; each document must be whole, and of one."""
    hits = shop.search("title", 1000)
    by_document = {name: [hit for hit in hits if hit.doc_id == name] for name in {hit.doc_id for hit in hits}}
    assert len(by_document) == DOCUMENTS
    found = Counter()
    for chunks in by_document.values():
        assert sorted(hit.position for hit in chunks) == [*range(CHUNKS)]
        of = {hit.text.split()[1] for hit in chunks if "title" not in hit.text}
        assert len(of) == 1
        found[of.pop()] += 1
    return set(found)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("place", "index", "step"),
    [
        *(("sqlite", "exact", step) for step in AT_ANY_STEP),
        *(("postgresql", "exact", step) for step in AT_ANY_STEP),
        *(("sqlite", "embedded", step) for step in (Step.STAGED, Step.INDEXED, Step.FLIPPED)),
    ],
    indirect=["place"],
)
def test_a_kill_at_any_step_leaves_nothing_wrong(place: Path | str, step: Step, index: str) -> None:
    shop = Shop(place, index)
    shop.listed = revision(1)
    shop.sync()
    shop.docs.close()

    killed_at(step, place, index, 2)

    flipped = step in (Step.FLIPPED, Step.FINISHED)
    assert revisions_found(shop) == {"r2" if flipped else "r1"}
    shop.listed = revision(3)
    shop.sync()
    assert revisions_found(shop) == {"r3"}
    shop.clock.advance(timedelta(hours=1))
    shop.sync()
    assert len(shop.docs._opened().catalogue.all_chunks()) == DOCUMENTS * CHUNKS
    assert shop.docs.verify() in (None, (0, 0))
    shop.docs.close()


@pytest.mark.parametrize("step", sorted(AFTER_A_REBIRTH))
def test_a_stop_while_clearing_is_made_up_for(place: Path | str, step: Step) -> None:
    shop = Shop(place)
    for number in (1, 2):
        shop.listed = revision(number)
        shop.sync()
    shop.clock.advance(timedelta(hours=1))

    def stop(at: Step) -> None:
        if at == step:
            raise KeyboardInterrupt

    shop.docs.reached = stop
    with pytest.raises(KeyboardInterrupt):
        shop.sync()
    shop.docs.reached = lambda step: None
    shop.sync()

    assert revisions_found(shop) == {"r2"}
    assert len(shop.docs._opened().catalogue.all_chunks()) == DOCUMENTS * CHUNKS
    shop.docs.close()
