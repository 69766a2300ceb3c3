"""What becomes of a job's state when several change it: nobody overwrites what he has not read."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tickwork.jobstate import NO_STATE, Entry, StateChange, StoredState, changed

KEYS = "abc"
deeds = st.lists(
    st.tuples(
        st.integers(0, 2),  # who
        st.sampled_from(["read", "write"]),
        st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9) | st.none(), min_size=1),  # None: it is removed
    ),
    max_size=30,
)


def change_of(read: StoredState, values: dict[str, Any]) -> StateChange:
    written = {key: value for key, value in values.items() if value is not None}
    return StateChange(1, {key: read.version_of(key) for key in values}, written)


def test_a_change_writes_and_removes_its_keys_and_leaves_the_others() -> None:
    stored = StoredState(7, {"a": Entry(2, "old"), "b": Entry(7, "other"), "c": Entry(3, "gone")})

    state = changed(stored, change_of(stored, {"a": "new", "c": None}))

    assert state == StoredState(8, {"b": Entry(7, "other"), "a": Entry(8, "new")})


@given(deeds)
def test_what_is_written_was_read_since_it_was_last_written(deeds: list[tuple[int, str, dict[str, Any]]]) -> None:
    """However many read and write in whatever order: a write wins exactly if none of its keys was written meanwhile."""
    stored, model = NO_STATE, dict[str, Any]()
    last_write = dict.fromkeys(KEYS, -1)
    read_at, seen = [-1, -1, -1], [NO_STATE] * 3

    for time, (who, verb, values) in enumerate(deeds):
        if verb == "read":
            read_at[who], seen[who] = time, stored
            continue
        state = changed(stored, change_of(seen[who], values))
        untouched = all(last_write[key] <= read_at[who] for key in values)
        # One who read that a key is not there, or removed it twice over, sees no difference.
        assert state is not None or not untouched
        if state is not None:
            for key in values:
                assert stored.entries.get(key) == seen[who].entries.get(key)
                last_write[key] = time
                model.pop(key, None)
            model |= {key: value for key, value in values.items() if value is not None}
            assert state.version == stored.version + 1
            stored = state
        assert stored.values == model
