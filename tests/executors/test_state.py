"""`run.state`: what runs hand on to each other, and what is said of values that cannot be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.executors.laws import make_call
from tests.samples import NOW, held_run, make_job, next_version

from tickwork.codec import MAX_STATE_LENGTH
from tickwork.errors import (
    InvalidJobError,
    RunLostError,
    SchedulerError,
    StateConflictError,
    StoreUnavailableError,
)
from tickwork.executors.asyncio import invoke_async
from tickwork.executors.call import Call, RunContext, invoke
from tickwork.executors.injection import Surroundings
from tickwork.executors.state import JobState
from tickwork.jobstate import StateChange, StoredState
from tickwork.plan import settle
from tickwork.run import Failed, Lost, Succeeded
from tickwork.stores.memory import MemoryStore
from tickwork.testing import VirtualClock


class WatchedStore(MemoryStore):
    """Tells on which threads its states are read; none while it is down."""

    def __init__(self) -> None:
        super().__init__(clock=VirtualClock(NOW))
        self.read_on: list[threading.Thread] = []
        self.down = False

    def state(self, job_uid: int) -> StoredState:
        if self.down:
            raise StoreUnavailableError("it is down")
        self.read_on.append(threading.current_thread())
        return super().state(job_uid)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore()


@pytest.fixture
def call(store: WatchedStore) -> Callable[..., Call]:
    """Makes calls of one job's runs."""
    job = make_job()
    store.add([job])
    number = iter(range(1000))

    def call(func: Callable[..., Any], *args: Any) -> Call:
        run = held_run(job, NOW.replace(microsecond=next(number)), lease_until=None)
        store.save([next_version(store.get("job"), run)])
        made = make_call(func, *args)
        made.job, made.run, made.surroundings = job, run, Surroundings(records=store)
        return made

    return call


@pytest.fixture
def state(store: WatchedStore, call: Callable[..., Call]) -> Iterator[JobState]:
    """The state as a run sees it that goes on."""
    return RunContext(call(print)).state


def change_from_outside(store: MemoryStore, **values: Any) -> None:
    stored = store.state(uid := store.get("job").uid)
    assert store.save_state(StateChange(uid, {key: stored.version_of(key) for key in values}, values))


def test_it_is_read_when_it_is_first_used(store: WatchedStore, call: Callable[..., Call]) -> None:
    def deed(run: RunContext) -> Any:
        before = len(store.read_on)
        state = run.state
        return [before, "cursor" in state, len(state), [*state], len(store.read_on)]

    assert invoke(call(deed)) == Succeeded([0, False, 0, [], 1])


def test_what_a_run_that_returns_has_changed_is_for_its_settlement(
    call: Callable[..., Call], store: WatchedStore
) -> None:
    change_from_outside(store, cursor=1, gone="soon", stays=[1], grows=[1])

    def deed(run: RunContext) -> None:
        run.state["cursor"] += 1
        del run.state["gone"]
        run.state["grows"].append(2)
        run.state.setdefault("new", []).append("in place")
        assert run.state["stays"] == [1]

    made = call(deed)

    assert invoke(made) == Succeeded()
    assert made.kept is not None
    assert made.kept.change == StateChange(
        made.job.uid, read={"cursor": 1, "gone": 1, "grows": 1, "new": 0},
        written={"cursor": 2, "grows": [1, 2], "new": ["in place"]},
    )  # fmt: skip


@pytest.mark.parametrize("deed", [lambda state: None, lambda state: state.get("a"), lambda state: state.update(a=1)])
def test_what_is_as_it_was_is_not_written(
    call: Callable[..., Call], store: WatchedStore, deed: Callable[[JobState], Any]
) -> None:
    change_from_outside(store, a=1)

    def only(run: RunContext) -> None:
        deed(run.state)

    made = call(only)
    invoke(made)

    assert made.kept is not None
    assert made.kept.change is None


def test_a_run_that_fails_changes_nothing(call: Callable[..., Call]) -> None:
    def deed(run: RunContext) -> None:
        run.state["cursor"] = 5
        raise ValueError("no luck")

    made = call(deed)

    assert isinstance(invoke(made), Failed)
    assert made.kept is not None
    assert made.kept.change is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("a", object(), r"state\['a'\]: expected plain JSON"),
        ("a", {"b": [{1, 2}]}, r"state\['a'\]\['b'\]\[0\]: expected plain JSON"),
        ("a", float("nan"), r"state\['a'\]: expected a finite number"),
        ("a", {1: 2}, r"state\['a'\]: expected strings as keys"),
        ("a", "\ud800", r"state\['a'\]: expected text that can be written as UTF-8"),
        ("a", 2**2000, r"state\['a'\]: expected a whole number of at most 1024 bits"),
        ("a", "x" * MAX_STATE_LENGTH, r"state: expected at most 65536 characters of JSON in all, got 65547"),
        ("", 1, "state: a key: expected 1 to 200 printable characters"),
        ("x" * 201, 1, "state: a key: expected 1 to 200 printable characters"),
        ("a\nb", 1, "state: a key: expected 1 to 200 printable characters"),
        ("\ud800", 1, "state: a key: expected 1 to 200 printable characters"),
        (None, 1, "state: a key: expected 1 to 200 printable characters, got None"),
        (1, 1, "state: a key: expected 1 to 200 printable characters, got 1"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_assigned(
    state: JobState, key: Any, value: Any, message: str
) -> None:
    state["b"] = "stays"

    with pytest.raises(InvalidJobError, match=message):
        state[key] = value

    assert dict(state) == {"b": "stays"}


def test_the_limit_is_for_all_values_together(state: JobState) -> None:
    for number in range(6):
        state[f"{number}"] = "x" * 10_000

    with pytest.raises(InvalidJobError, match="expected at most 65536 characters"):
        state["6"] = "x" * 10_000
    del state["0"]
    state["6"] = "x" * 10_000

    assert len(state) == 6


@pytest.mark.parametrize("value", [object(), "x" * MAX_STATE_LENGTH, float("inf")])
def test_what_a_list_has_become_that_cannot_be_kept_fails_the_run(call: Callable[..., Call], value: object) -> None:
    def deed(run: RunContext) -> None:
        run.state.setdefault("list", []).append(value)

    made = call(deed)
    outcome = invoke(made)

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("InvalidJobError: state")


def test_a_value_is_copied_when_it_is_assigned(state: JobState) -> None:
    mine = [1]
    state["a"] = mine
    mine.append(2)

    assert state["a"] == [1]
    assert state["a"] is state["a"], "and changed in place after that"


# saving


def test_what_is_saved_stays_whatever_becomes_of_the_run(call: Callable[..., Call], store: WatchedStore) -> None:
    def deed(run: RunContext) -> None:
        for page in range(3):
            run.state["page"] = page
            run.state.save()
        run.state["page"] = "lost"
        raise ValueError("no luck")

    invoke(made := call(deed))

    assert store.state(made.job.uid).values == {"page": 2}


def test_saving_twice_writes_once_and_the_end_writes_the_rest(call: Callable[..., Call], store: WatchedStore) -> None:
    def deed(run: RunContext) -> None:
        run.state["a"], run.state["b"] = 1, 1
        run.state.save()
        run.state.save()
        del run.state["b"]
        run.state["c"] = 3

    invoke(made := call(deed))

    assert store.state(made.job.uid).version == 1
    assert made.kept is not None
    assert made.kept.change == StateChange(made.job.uid, {"b": 1, "c": 0}, {"c": 3})


def test_a_run_that_was_taken_over_is_refused(store: WatchedStore, call: Callable[..., Call]) -> None:
    made = call(print)
    state = RunContext(made).state
    state["a"] = 1
    store.settle([settle(made.run, made.job.retry, Lost("frozen"), NOW)])

    with pytest.raises(RunLostError, match=f"expected run {made.run.id} to be this node's still"):
        state.save()

    assert store.state(made.job.uid) == StoredState()


def test_who_has_read_an_older_value_is_refused(store: WatchedStore, state: JobState) -> None:
    state["a"] = 1
    change_from_outside(store, a="from outside")

    with pytest.raises(StateConflictError, match="expected to be the only one to change 'a'"):
        state.save()

    assert store.state(store.get("job").uid).values == {"a": "from outside"}


def test_other_keys_may_be_changed_by_others_meanwhile(store: WatchedStore, state: JobState) -> None:
    state["a"] = 1
    change_from_outside(store, b="from outside")

    state.save()

    assert store.state(store.get("job").uid).values == {"a": 1, "b": "from outside"}


# in coroutines


def test_a_coroutine_seen_to_use_it_finds_it_read_on_another_thread(
    store: WatchedStore, call: Callable[..., Call]
) -> None:
    async def deed(run: RunContext) -> Any:
        return run.state.get("a")

    change_from_outside(store, a=1)
    store.read_on.clear()

    outcomes = [asyncio.run(invoke_async(call(deed))) for _ in range(3)]

    here = threading.current_thread()
    assert outcomes == 3 * [Succeeded(1)]
    assert [thread is here for thread in store.read_on] == [True, False, False]


def test_a_store_that_is_down_is_a_failure_of_the_run(store: WatchedStore, call: Callable[..., Call]) -> None:
    async def deed(run: RunContext) -> Any:
        return dict(run.state)

    store.down = True

    outcomes = [asyncio.run(invoke_async(call(deed))) for _ in range(2)]

    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Failed)] == 2 * [
        "StoreUnavailableError: it is down"
    ]


def test_saving_in_an_event_loop_is_refused_with_what_to_write_instead(
    store: WatchedStore, call: Callable[..., Call]
) -> None:
    async def deed(run: RunContext) -> None:
        run.state["a"] = 1
        with pytest.raises(SchedulerError, match=r"write await asyncio.to_thread\(run.state.save\)"):
            run.state.save()
        await asyncio.to_thread(run.state.save)
        raise ValueError("after that")

    asyncio.run(invoke_async(made := call(deed)))

    assert store.state(made.job.uid).values == {"a": 1}


def test_a_call_without_a_scheduler_has_no_state() -> None:
    def deed(run: RunContext) -> None:
        run.state["a"] = 1

    outcome = invoke(make_call(deed))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("SchedulerError: expected to be inside a run of a scheduler")


def test_a_key_that_is_written_as_an_attribute_is_refused() -> None:
    with pytest.raises(AttributeError, match="cursor"):
        JobState(MemoryStore(), 1).cursor = 5  # type: ignore[attr-defined]
