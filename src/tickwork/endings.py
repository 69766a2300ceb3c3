"""How calls end: what they report becomes rows of the ledger, each once.

The rule: a call is let go of when its ending is written, or is another's to write. An ending that the store refuses was
decided on an older version of the run, and is looked at again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeGuard

from tickwork import plan
from tickwork.draft import Draft, Report
from tickwork.errors import RunNotFoundError, StoreError
from tickwork.events import JobChanged, JobRecovered, RunSettled
from tickwork.executors.call import Call
from tickwork.executors.kept import Kept
from tickwork.executors.state import state_conflict
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.plan import Settlement
from tickwork.policies import exception_names
from tickwork.run import SUCCEEDED, Failed, Outcome, Run, RunState
from tickwork.stores.base import Store

RAN = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.LOST)

log = logging.getLogger("tickwork.loop")


class Endings:
    """What one round writes of endings, into its *draft*."""

    def __init__(self, store: Store, draft: Draft, *, node: str, is_told: bool) -> None:
        self.draft = draft
        self._store = store
        self._node = node
        self._is_told = is_told
        """Whether anybody listens, to whom each ending is told."""

    def tell_if_closed(self, doubtful: Mapping[str, Run], now: datetime) -> None:
        """Tell of what was closed by a commit that seemed to fail, since only its reply was lost."""
        self.draft.closing |= doubtful
        for run in doubtful.values():
            if self.current(run.id) == run:
                self.draft.events.append(RunSettled(run, now))

    def settle(self, reported: Sequence[Report]) -> None:
        """Close the runs of these calls."""
        open: list[Report] = []
        settled: list[tuple[Call, Outcome]] = []
        for report in reported:
            call, outcome, _ = report
            if call.kept is not None and call.kept.settled is not None:
                settled.append((call, outcome))
            elif call.kept is not None and call.kept.settling is not None:
                self.draft.undecided.append(report)
            else:
                open.append(report)
        try:
            if open:
                self._settle((call, self._ending(call, outcome, at)) for call, outcome, at in open)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  one of them cannot be written, and the others must be settled all the same
            for call, outcome, at in open:
                self._settle_alone(call, outcome, at)
        self._let_settled_go(settled)
        self.draft.settled = len(reported)

    def current(self, run_id: str) -> Run | None:
        """The run as the store has it. None: it is gone."""
        try:
            return self._store.run(run_id)
        except RunNotFoundError:
            return None

    def is_ours(self, run: Run | None) -> TypeGuard[Run]:
        """Whether this node has it in hand, as far as the store knows."""
        return run is not None and run.state is RunState.RUNNING and run.node == self._node

    def _ending(self, call: Call, outcome: Outcome, at: datetime) -> Settlement:
        if call.asked is not None:
            outcome = plan.ending(call.asked, outcome)
        settlement = plan.settle(
            call.run, call.job.retry, outcome, at, started_at=call.started_at, progress=call.progress
        )  # fmt: skip
        if call.kept is None:
            return settlement
        state = call.kept.change if settlement.run.state is SUCCEEDED else None
        return settlement._replace(log=call.kept.log_so_far(), state=state)

    def _settle_alone(self, call: Call, outcome: Outcome, at: datetime) -> None:
        """Settle one call; if its ending cannot be written, as a failure that says so."""
        try:
            self._settle([(call, self._ending(call, outcome, at))])
        except StoreError:
            raise
        except Exception as error:
            log.exception("the outcome of run %s of job %r cannot be written", call.run.id, call.job.id)
            unwritten = Failed(f"its outcome could not be written: {type(error).__name__}")
            self._settle([(call, plan.settle(call.run, call.job.retry, unwritten, at))])

    def _settle(self, coming: Iterable[tuple[Call, Settlement]]) -> None:
        """Write these endings, as they come, and let go of the calls."""
        ending: list[tuple[Call, Settlement]] = []

        def settlements() -> Iterator[Settlement]:
            for call, settlement in coming:
                ending.append((call, settlement))
                yield settlement

        won = self._store.settle(settlements())
        if self._is_told:
            now = self._store.clock.now()
            self.draft.events += [RunSettled(settlement.run, now) for settlement in won]
        if len(won) == len(ending):
            self._follow_up(ending)
        else:
            written = {id(settlement) for settlement in won}
            self._follow_up([pair for pair in ending if id(pair[1]) in written])
            anew = [
                (call, again) for call, refused in ending
                if id(refused) not in written and (again := self._settle_again(call, refused)) is not None
            ]  # fmt: skip
            if anew:
                self._settle(anew)
        self.draft.ended += [call for call, _ in ending]

    def _follow_up(self, ended: Sequence[tuple[Call, Settlement]]) -> None:
        """Write what these endings mean for their jobs: what is expected of them, and whether they fail too often."""
        watched = [
            pair for pair in ended if pair[0].job.expect_every is not None or pair[0].job.pause_after is not None
        ]
        if not watched:
            return
        self._fulfil((call, settlement.run) for call, settlement in watched)
        failing = {
            call.job.id: call.job for call, settlement in watched
            if call.job.pause_after is not None and plan.counts_as_failure(settlement)
        }  # fmt: skip
        for job in failing.values():
            self.pause_if_it_fails_too_often(job)

    def _let_settled_go(self, ended: Iterable[tuple[Call, Outcome]]) -> None:
        """The calls have ended whose own transactions had settled their runs: that stays so, whatever came of them."""
        for call, outcome in ended:
            assert call.kept is not None
            assert call.kept.settled is not None
            run = call.kept.settled
            self._tell_settled(call, call.kept, run, outcome.state)
            self.draft.ended.append(call)

    def _tell_settled(self, call: Call, kept: Kept, run: Run, state: RunState) -> None:
        """A run was settled by its own transaction, as *run*, before its function ended as *state*."""
        if state is not RunState.SUCCEEDED:
            log.warning(
                "run %s of job %r stays succeeded, as its transaction was committed before its function %s",
                run.id, run.job_id, state,
            )  # fmt: skip
        if (log_so_far := kept.log_so_far()) is not None:
            self._store.keep_logs([(run, log_so_far)])
        self.draft.events.append(RunSettled(run, self._store.clock.now()))
        self._tell_recovered(kept.recovered, {run.job_uid: run}, [call.job])

    def _fulfil(self, ended: Iterable[tuple[Call, Run]]) -> None:
        """Write the successes that are expected; of jobs as they are now, which may have changed since the claim."""
        succeeded = {run.job_uid: run for call, run in ended if call.job.expect_every is not None and plan.fulfils(run)}
        if succeeded:
            jobs = self._store.jobs(ids={run.job_id for run in succeeded.values()})
            self._tell_recovered(self._store.fulfil(plan.fulfilled(succeeded, jobs)), succeeded, jobs)

    def _tell_recovered(
        self, recovered: Iterable[Expectation], succeeded: Mapping[int, Run], jobs: Iterable[Job]
    ) -> None:
        by_uid = {job.uid: job for job in jobs}
        for overdue in recovered:
            job, run = by_uid[overdue.job_uid], succeeded[overdue.job_uid]
            if overdue.overdue_at is not None and run.ended_at is not None:
                log.info("job %r has succeeded, which was overdue", job.id)
                self.draft.events.append(JobRecovered(job, overdue.overdue_at, run.ended_at, self._store.clock.now()))

    def pause_if_it_fails_too_often(self, job: Job) -> None:
        """Pause a job of which `pause_after` fire times in a row have failed, with this one."""
        assert job.pause_after is not None
        newest = self._store.runs(job_id=job.id, states=RAN, limit=job.pause_after * job.retry.max_attempts)
        current = [one for one in self._store.jobs(ids=[job.id]) if one.uid == job.uid and not one.paused]
        if current and plan.fails_too_often(job, newest):
            reason = f"it failed {job.pause_after} times in a row, the last time with: {newest[0].reason}"
            for change in self._store.save([plan.pause(current[0], self._store.clock.now(), reason)]):
                log.warning("job %r is paused: %s", job.id, reason)
                self.draft.events.append(JobChanged(change.job, self._store.clock.now()))
                return
            self.draft.failing.append(job)

    def _settle_again(self, call: Call, refused: Settlement) -> Settlement | None:
        """What to write instead of an ending that was refused: it was decided on an older version of the run.

        None if nothing is to be done: the run is someone else's by now; or the ending was written
        before, and only the store's reply went astray.
        """
        current = self.current(call.run.id)
        if self.is_ours(current):
            if refused.state is not None and current.version == refused.run.version - 1:
                return self._failed_by_its_state(call, current, refused)
            as_ours = refused.run._replace(version=current.version + 1, cancel_reason=current.cancel_reason)
            return refused._replace(run=as_ours, attempt=refused.attempt if current.cancel_reason is None else None)
        kept = call.kept
        if kept is not None and current is not None and kept.has_settled_as(current):
            self._tell_settled(call, kept, current, refused.run.state)  # by a thread left behind, or its reply was lost
            return None
        if current is not None and _ending_of(current) == _ending_of(refused.run):
            # Perhaps without what follows it, in a store that cannot undo: that does no harm twice.
            self.draft.events.append(RunSettled(refused.run, self._store.clock.now()))
            self._follow_up([(call, refused)])
        else:
            log.warning(
                "run %s of job %r ended as %s after it had been taken over; that outcome is dropped",
                call.run.id, call.job.id, refused.run.state,
            )  # fmt: skip
        return None

    def _failed_by_its_state(self, call: Call, current: Run, refused: Settlement) -> Settlement:
        """What to write instead of a success on a state that somebody has changed since it was read."""
        assert refused.state is not None
        assert refused.run.ended_at is not None
        error = state_conflict(refused.state)
        log.warning("run %s of job %r failed: %s", call.run.id, call.job.id, error)
        failed = Failed(f"{type(error).__name__}: {error}", raised=exception_names(error))
        return plan.settle(
            current, call.job.retry, failed, refused.run.ended_at, started_at=call.started_at, progress=call.progress
        )._replace(log=refused.log)


def _ending_of(run: Run) -> tuple[int, RunState, datetime | None]:
    """What tells one writing of a run's ending from another's: two may have lost it, but at different instants."""
    return run.version, run.state, run.ended_at
