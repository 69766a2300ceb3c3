"""The faults of a seed are the same at each replay, and none of them overlaps another of its worker."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.chaos.faults import OF_SERVERS, OF_WORKERS, Fault, Kind, draw


@given(seed=st.integers(0, 2**32), kinds=st.sampled_from([OF_WORKERS, OF_SERVERS]), seconds=st.floats(5, 60))
def test_a_seed_decides_what_goes_wrong_and_when(seed: int, kinds: tuple[Kind, ...], seconds: float) -> None:
    faults = draw(seed, kinds, workers=3, seconds=seconds, lease=4.0)

    of_worker: dict[int, list[Fault]] = defaultdict(list)
    for fault in faults:
        of_worker[fault.worker].append(fault)
    assert faults == draw(seed, kinds, workers=3, seconds=seconds, lease=4.0)
    assert faults
    assert {fault.kind for fault in faults} <= {*kinds}
    assert all(fault.lasts > 0 and fault.until <= seconds + 0.01 for fault in faults)
    assert all(
        before.until <= after.at for some in of_worker.values() for before, after in pairwise(some)
    )  # fmt: skip


def test_all_kinds_are_drawn() -> None:
    drawn = {fault.kind for seed in range(20) for fault in draw(seed, OF_SERVERS, workers=3, seconds=20, lease=4.0)}

    assert drawn == {*Kind}
