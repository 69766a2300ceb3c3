"""`run.transaction()`: what a job writes into the store's own database, and its success, in one commit.

The rule: the commit decides. Before it, whatever goes wrong undoes all of it; after it, the run has succeeded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tickwork import plan
from tickwork.errors import RunCancelledError, RunClosedError
from tickwork.executors.kept import Kept
from tickwork.executors.records import Records, is_held
from tickwork.executors.state import refuse_in_event_loop, run_lost, state_conflict
from tickwork.jobstate import StateChange
from tickwork.run import DONE, Run

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


@contextmanager
def transaction(call: Call, kept: Kept, records: Records) -> Iterator[Any]:
    """Settle the call's run as succeeded with what is written inside; `call.kept` has how it ended."""
    refuse_in_event_loop("run.transaction()", "await asyncio.to_thread(work, run), and use it in that function")
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


def _settle(call: Call, kept: Kept, records: Records, change: StateChange | None) -> Run:
    """Close the run, inside of the transaction, if it is still ours and nobody has asked it to end."""
    while True:
        run = records.run(call.run.id)
        if not is_held(run, call.run):
            raise run_lost(call.run)
        asked = run.cancel_reason if call.asked is None else call.asked.reason
        if asked is not None:
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
