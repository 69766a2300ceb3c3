"""What a run may ask of the store: a few of its verbs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import StateChange, StoredState
from tickwork.plan import Settlement
from tickwork.run import Run, RunState


class Records(Protocol):
    """The store, as a run sees it; what each verb does stands there."""

    def jobs(self, *, ids: Collection[str]) -> Sequence[Job]: ...

    def fulfil(self, successes: Sequence[Expectation]) -> Sequence[Expectation]: ...

    def run(self, run_id: str) -> Run: ...

    def settle(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]: ...

    def lend(self) -> AbstractContextManager[Any]: ...

    def state(self, job_uid: int) -> StoredState: ...

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None: ...


def is_held(current: Run, run: Run) -> bool:
    """Whether a run goes on at the node that began it; *current* is its row."""
    return current.state is RunState.RUNNING and current.node == run.node
