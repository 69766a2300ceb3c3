"""A declaration: the jobs that one version of the code declares, and for which applications it speaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from tickwork.codec import definition_of
from tickwork.job import Job


@dataclass(frozen=True)
class Declaration:
    jobs: Mapping[str, Job] = field(default_factory=dict)
    """By their ids, as the code has them."""
    apps: frozenset[str] = frozenset()
    """The applications whose jobs it would declare: one of theirs that is not among *jobs* is gone from this code."""

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self.jobs)

    @cached_property
    def name(self) -> str:
        """The same for all nodes that declare the same, in each option of each job. Empty: nothing is declared."""
        if not self.jobs and not self.apps:
            return ""
        definitions = [[id, definition_of(job)] for id, job in sorted(self.jobs.items())]
        return sha256(json.dumps([sorted(self.apps), definitions], sort_keys=True).encode()).hexdigest()[:12]


NOTHING_DECLARED = Declaration()


def declaration_of(jobs: Iterable[Job], app: str | None) -> Declaration:
    """What these declared jobs say, for *app*, or else for the applications that their functions belong to."""
    declared = {job.id: job for job in jobs}
    apps = {job.declared for job in declared.values() if job.declared is not None} if app is None else {app}
    return Declaration(declared, frozenset(apps))


def app_of(func: str) -> str:
    """The application that a function belongs to, for want of a name: its package, or module, at the top."""
    return func.partition(":")[0].partition(".")[0]
