"""Jobs from what a user writes; what each option may be is in test_scheduler.py and test_bad_input.py."""

from __future__ import annotations

import inspect

from tickwork.definitions import JOB_OPTIONS
from tickwork.scheduler import Scheduler


def test_every_option_of_add_job_is_known_as_one_of_the_job() -> None:
    """So that none is taken for one of its trigger."""
    named = inspect.signature(Scheduler.add_job).parameters
    beside = {"self", "func", "trigger", "beyond", "replace_existing", "trigger_args"}

    assert named.keys() - beside == JOB_OPTIONS
