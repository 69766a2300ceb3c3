"""`run.transaction()`: what a job writes into the store's own database, and its success, in one commit.

The rule: the commit decides. Before it, whatever goes wrong undoes all of it; after it, the run has succeeded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Self

from tickwork import plan
from tickwork.errors import RunCancelledError, RunClosedError, SchedulerError
from tickwork.executors.kept import Kept
from tickwork.executors.records import Records, is_held
from tickwork.executors.state import refuse_in_event_loop, run_lost, state_conflict
from tickwork.expectation import Expectation
from tickwork.jobstate import StateChange
from tickwork.plan import Settlement
from tickwork.run import DONE, Cancelled, Run

if TYPE_CHECKING:
    from tickwork.executors.call import Call

LONG = 1.0
"""Seconds; who holds a transaction for longer may keep others from writing, and hears of it."""

log = logging.getLogger("tickwork.run")


class Block:
    """The transaction of a run, on its thread."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.to_do: list[Callable[[], object]] = []


class Blocks(threading.local):
    here: Block | None = None


_blocks = Blocks()


def when_committed(records: object, act: Callable[[], object]) -> None:
    """Act now; or inside of a run's transaction on this store, when that is committed, and not if it is undone."""
    block = _blocks.here
    if block is not None and block.records is records:
        block.to_do.append(act)
    else:
        act()


class Transaction:
    """What `run.transaction()` is: a block to enter, and nothing before."""

    def __init__(self, block: AbstractContextManager[Any]) -> None:
        self._block = block

    def __enter__(self) -> Any:
        return self._block.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:  # fmt: skip
        return self._block.__exit__(kind, error, traceback)

    def __getattr__(self, name: str) -> Never:
        raise AttributeError(
            f"run.transaction(): expected a block, got .{name} outside of one: "
            f"write `with run.transaction() as connection:`"
        )


def transaction(call: Call, kept: Kept, records: Records) -> Transaction:
    """Settle the call's run as succeeded with what is written inside; `call.kept` has how it ended."""
    refuse_in_event_loop("run.transaction()", "await asyncio.to_thread(work, run), and use it in that function")
    return Transaction(_block(call, kept, records))


@contextmanager
def _block(call: Call, kept: Kept, records: Records) -> Iterator[Any]:
    if kept.settled is not None:
        raise RunClosedError("run.transaction(): expected one in a run, got a second: the first has settled it")
    state, began = kept.state_of(records, call.run), None
    state.in_transaction = True
    block = _blocks.here = Block(records)
    try:
        with records.lend() as connection:
            began = time.monotonic()
            yield connection
            change = state.change()
            kept.settling = _settle(call, kept, records, change)  # before the commit, after which others may see it
        kept.settled = kept.settling
    except BaseException:
        kept.doubtful, kept.settling = kept.settling, None
        raise
    finally:
        _blocks.here = None
        state.in_transaction = False
        if began is not None and (held := time.monotonic() - began) > LONG:
            log.warning("run %s of job %r held its transaction for %.1f s: others may have had to wait",
                        call.run.id, call.job.id, held)  # fmt: skip
    state.close(change)
    for act in block.to_do:
        act()


class JoinedSettling:
    """How a run is settled in a transaction that is not ours: whether it is committed only the store knows, later."""

    def __init__(self, call: Call, kept: Kept) -> None:
        self._call = call
        self._kept = kept
        self._ended: Run | None = None
        self.run = call.run

    def __enter__(self) -> Self:
        kept = self._kept
        if (kept.settled or kept.joined) is not None:
            raise RunClosedError("settle_run(): expected a run that goes on, got one that was settled before")
        if kept.state is not None and kept.state.change() is not None:
            raise SchedulerError(
                "settle_run(): expected run.state as it was, got changes, which your transaction does not write: "
                "use run.transaction(), or run.state.save() before"
            )
        kept.joined = self._call.run  # from here on it is not renewed: that would wait for the lock of its row
        return self

    def __exit__(self, kind: object, *raised: object) -> None:
        self._kept.joined = None if kind is not None else self._ended

    def ending(self, current: Run | None) -> tuple[Settlement, Sequence[Expectation]]:
        """How it succeeds, now that *current* is its row. None: it is no open one's."""
        call = self._call
        if current is None or not is_held(current, call.run):
            raise run_lost(call.run)
        asked = current.cancel_reason if call.asked is None else call.asked.reason
        if asked is not None:
            call.asked = call.asked or Cancelled(asked)  # before the loop hears of it: so it ends as cancelled
            raise RunCancelledError(asked)
        settlement = plan.settle(
            current, call.job.retry, DONE, call.clock.now(), started_at=call.started_at, progress=call.progress
        )  # fmt: skip
        self._ended = settlement.run
        fulfils = call.job.expect_every is not None and plan.fulfils(settlement.run)
        return settlement, plan.fulfilled({current.job_uid: settlement.run}, [call.job]) if fulfils else ()

    def end(self, recovered: Sequence[Expectation]) -> None:
        """It was written; these were overdue until then."""
        self._kept.recovered = recovered


def _settle(call: Call, kept: Kept, records: Records, change: StateChange | None) -> Run:
    """Close the run, inside of the transaction, if it is still ours and nobody has asked it to end."""
    while True:
        run = records.run(call.run.id)
        if not is_held(run, call.run):
            raise run_lost(call.run)
        asked = run.cancel_reason if call.asked is None else call.asked.reason
        if asked is not None:
            call.asked = call.asked or Cancelled(asked)
            raise RunCancelledError(asked)
        ended = plan.settle(
            run, call.job.retry, DONE, call.clock.now(), started_at=call.started_at, progress=call.progress
        )  # fmt: skip
        if records.settle([ended._replace(log=kept.log_so_far(), state=change)]):
            if call.job.expect_every is not None and plan.fulfils(ended.run):
                jobs = records.jobs(ids=[run.job_id])
                kept.recovered = records.fulfil(plan.fulfilled({run.job_uid: ended.run}, jobs))
            return ended.run
        if records.run(run.id).version == run.version:  # otherwise its lease was renewed meanwhile
            assert change is not None
            raise state_conflict(change)
