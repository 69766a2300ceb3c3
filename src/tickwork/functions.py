"""The functions of jobs, as far as this node's code has them.

The rule: a function is imported between two rounds, never while the store waits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from tickwork.clock import Clock
from tickwork.job import Job
from tickwork.refs import Function, find_function

log = logging.getLogger("tickwork.loop")


class Functions:
    """Those that were found, and the jobs whose function was not: they are left to others for a while."""

    def __init__(self, clock: Clock, *, set_aside: timedelta) -> None:
        self._clock = clock
        self._set_aside = set_aside
        self._found: dict[str, Function] = {}
        self._foreign: dict[int, datetime] = {}
        self._strangers: dict[int, Job] = {}

    @property
    def foreign(self) -> Mapping[int, datetime]:
        """The jobs that this node cannot call, by their uids, and until when it does not try again."""
        return self._foreign

    def knows(self, job: Job) -> bool:
        return job.func in self._found

    def has_met(self, job: Job) -> bool:
        """Whether the job's function was looked for. If not, it will be by `meet_strangers`."""
        if job.func in self._found or job.uid in self._foreign:
            return True
        self._strangers[job.uid] = job
        return False

    def meet_strangers(self) -> bool:
        """Find the functions of jobs that this node has met for the first time; whether there were any."""
        strangers, self._strangers = self._strangers, {}
        for job in strangers.values():
            self.find(job)
        return bool(strangers)

    def find(self, job: Job) -> Function | None:
        """The job's function; None if this node does not know it, and its runs wait for one that does."""
        func = self._found.get(job.func)
        if func is None and job.uid not in self._foreign:
            try:
                func = self._found[job.func] = find_function(job.func)
            except BaseException as error:  # noqa: BLE001  a module may raise anything while it is imported
                log.warning(
                    "the runs of job %r wait for a node that knows its function (remove it if its code is gone): %s",
                    job.id, error,
                )  # fmt: skip
                self.leave_to_others(job)
        return func

    def leave_to_others(self, job: Job) -> None:
        """This node cannot call it."""
        self._foreign[job.uid] = self._clock.now() + self._set_aside

    def try_again(self, now: datetime) -> None:
        """Those whose while is over may be looked for again."""
        self._foreign = {uid: until for uid, until in self._foreign.items() if until > now}

    def try_all_again(self) -> None:
        """The clock was set back, and no while is what it was."""
        self._foreign = {}
