"""What others put around the calls of a scheduler's runs: a span, a counter, the fields of a log.

The rule: it is entered and left where the call is made, on its thread or in its task, so that what it sets there the
function sees. Nothing that it does can hurt the run: what it raises is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from tickwork import plan
from tickwork.executors.call import Call, invoke, refusal
from tickwork.job import Job
from tickwork.run import Outcome, Run

Leave: TypeAlias = Callable[[Outcome], object]
Around: TypeAlias = Callable[[Job, Run], Leave | None]
"""Called just before a call begins. What it returns is called with the outcome, just after it has ended."""

log = logging.getLogger("tickwork.run")


def invoke_surrounded(call: Call) -> Outcome:
    """`invoke`, within what is put around it."""
    if not call.surroundings.around or refusal(call, call.clock.now()) is not None:
        return invoke(call)
    left = enter(call)
    outcome = invoke(call)
    leave(left, call, outcome)
    return outcome


def enter(call: Call) -> list[Leave]:
    """Enter all that is put around *call*; what leaves it again, in the order to do so."""
    left: list[Leave] = []
    for around in call.surroundings.around:
        try:
            if (leaves := around(call.job, call.run)) is not None:
                left.insert(0, leaves)
        except BaseException:
            log.exception("run %s of job %r goes on without %r, which raised", call.run.id, call.job.id, around)
    return left


def leave(left: list[Leave], call: Call, outcome: Outcome) -> None:
    """Leave what was entered, with what has become of the call."""
    ending = plan.ending(call.asked, outcome)
    for leaves in left:
        try:
            leaves(ending)
        except BaseException:
            log.exception("run %s of job %r has ended, and %r raised", call.run.id, call.job.id, leaves)
