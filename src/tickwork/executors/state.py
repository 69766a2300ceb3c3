"""`run.state`: the state of a job as one of its runs sees and changes it.

The rule: what is wrong with a value is said where it is assigned. What lists and dicts in it have become is seen when
the function returns, and what is wrong with that is a failure of the run.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple

from tickwork.checks import check_text
from tickwork.codec import MAX_STATE_LENGTH, state_value, to_text
from tickwork.errors import InvalidJobError, RunClosedError, RunLostError, SchedulerError, StateConflictError
from tickwork.executors.records import Records, is_held
from tickwork.jobstate import StateChange, StoredState
from tickwork.run import Run

MAX_KEY_LENGTH = 200


class Known(NamedTuple):
    """What the store has of one key, as far as this run knows."""

    version: int
    text: str | None
    """Its value as JSON. None: it is not there."""


ABSENT = Known(0, None)


class JobState(MutableMapping[str, Any]):
    """A dict of plain JSON that lasts from run to run of a job; read from the store when it is first used.

    It is written when the run succeeds, together with its outcome; a run that fails leaves it as it was, or as it has
    last saved it. A value is copied when it is assigned; lists and dicts that come from here may be changed in place.
    """

    # Nothing else can be assigned: `state.cursor = 5` for `state["cursor"] = 5` would be lost without a word.
    __slots__ = ("_closed", "_job_uid", "_known", "_lengths", "_lock", "_records", "_run", "_values", "in_transaction")

    def __init__(self, records: Records, job_uid: int, run: Run | None = None) -> None:
        self._records = records
        self._job_uid = job_uid
        self._run = run
        self._lock = threading.RLock()
        self._known: dict[str, Known] = {}
        self._values: dict[str, Any] | None = None
        self._lengths: dict[str, int] = {}
        self._closed = False
        self.in_transaction = False
        """Whether it is written with a transaction that goes on."""

    def load(self) -> None:
        """Read it from the store, if that was not done. Raises StoreError."""
        self._read()

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __setitem__(self, key: str, value: Any) -> None:
        """Raises InvalidJobError for what is not plain JSON, or too large, and RunClosedError after a transaction."""
        check_text("state: a key", key, most=MAX_KEY_LENGTH)
        plain = state_value(key, value)
        values, lengths = self._open(), {**self._lengths, key: len(key) + len(to_text(plain))}
        _check_length(lengths)
        self._lengths, values[key] = lengths, plain

    def __delitem__(self, key: str) -> None:
        del self._open()[key]
        del self._lengths[key]

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of a dict: the value that is kept, which may be changed in place."""
        if key not in self._read():
            self[key] = default
        return self[key]

    def __repr__(self) -> str:
        return f"JobState({'...' if self._values is None else self._values})"

    def save(self) -> None:
        """Write what has changed now, whatever becomes of the run; inside a transaction that does it by itself.

        It waits for the disk: in a coroutine write `await asyncio.to_thread(run.state.save)`. Raises InvalidJobError,
        StoreError, RunLostError if another node has taken the run over, and StateConflictError if somebody else has
        changed the same keys since they were read.
        """
        assert self._run is not None, "it is saved from inside of a run"
        refuse_in_event_loop("run.state.save()", "await asyncio.to_thread(run.state.save)")
        self._open()
        change = self.change()
        if change is None or self.in_transaction:
            return
        self._know(change, save_state(self._records, change, self._run).version)

    def change(self) -> StateChange | None:
        """What was changed since it was read or saved. None: nothing. Raises InvalidJobError as an assignment does."""
        if self._values is None:
            return None
        values = {key: state_value(key, value) for key, value in self._values.items()}
        texts = {key: to_text(value) for key, value in values.items()}
        touched = [key for key in {**self._known, **texts} if texts.get(key) != self._known.get(key, ABSENT).text]
        if not touched:
            return None
        if self._closed:
            raise RunClosedError(
                f"state: expected it to be changed before the transaction ends, which has settled the run, "
                f"got a later change of {_listed(touched)}"
            )
        _check_length({key: len(key) + len(text) for key, text in texts.items()})
        return StateChange(
            self._job_uid,
            read={key: self._known.get(key, ABSENT).version for key in touched},
            written={key: values[key] for key in touched if key in values},
        )

    def close(self, change: StateChange | None) -> None:
        """A transaction has settled the run, and written *change* with it."""
        self._closed = True
        if change is not None:
            self._know(change, 0)

    def _read(self) -> dict[str, Any]:
        with self._lock:
            if self._values is None:
                stored = self._records.state(self._job_uid)
                self._known = {key: Known(version, to_text(value)) for key, (version, value) in stored.entries.items()}
                self._lengths = {key: len(key) + len(known.text or "") for key, known in self._known.items()}
                self._values = stored.values
            return self._values

    def _open(self) -> dict[str, Any]:
        if self._closed:
            raise RunClosedError("state: expected a run that goes on, got one that its transaction has settled")
        return self._read()

    def _know(self, change: StateChange, version: int) -> None:
        """The store has it now."""
        for key in change.read:
            if key in change.written:
                self._known[key] = Known(version, to_text(change.written[key]))
            else:
                self._known.pop(key, None)


def save_state(records: Records, change: StateChange, run: Run) -> StoredState:
    """Write *change* while *run* goes on, as `JobState.save` does."""
    stored = records.save_state(change, run)
    if stored is not None:
        return stored
    raise state_conflict(change) if is_held(records.run(run.id), run) else run_lost(run)


def refuse_in_event_loop(verb: str, instead: str) -> None:
    """SchedulerError if the calling thread runs an event loop, which all other coroutines would wait with."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:  # no thread runs a loop in a process that never imported it
        return
    with suppress(RuntimeError):  # there is none
        asyncio.get_running_loop()
        raise SchedulerError(f"{verb}: expected to be called on a thread, got a call in an event loop: write {instead}")


def state_conflict(change: StateChange) -> StateConflictError:
    return StateConflictError(
        f"state: expected to be the only one to change {_listed(change.read)}, got a change by another run, or from "
        f"outside, since this one read it: its own is not kept"
    )


def run_lost(run: Run) -> RunLostError:
    return RunLostError(f"expected run {run.id} to be this node's still, got one that was taken over, or has ended")


def _check_length(lengths: Mapping[str, int]) -> None:
    if (length := sum(lengths.values())) > MAX_STATE_LENGTH:
        raise InvalidJobError(
            f"state: expected at most {MAX_STATE_LENGTH} characters of JSON in all, got {length}: "
            f"keep the data elsewhere, and its name here"
        )


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(keys)[:5]))
