"""A declaration: which jobs one version of the code declares, and for which applications it speaks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from tickwork.job import Job


class Declaration(NamedTuple):
    ids: frozenset[str] = frozenset()
    """Of the jobs that the code declares."""
    apps: frozenset[str] = frozenset()
    """The applications whose jobs it would declare: one of theirs that is not among *ids* is gone from this code."""

    @property
    def name(self) -> str:
        """The same for all nodes that declare the same. Empty: nothing is declared."""
        if not self.ids and not self.apps:
            return ""
        return sha256(json.dumps([sorted(self.apps), sorted(self.ids)]).encode()).hexdigest()[:12]


NOTHING_DECLARED = Declaration()


def declaration_of(jobs: Iterable[Job], app: str | None) -> Declaration:
    """What these declared jobs say, for *app*, or else for the applications that their functions belong to."""
    declared = [*jobs]
    apps = {job.declared for job in declared if job.declared is not None} if app is None else {app}
    return Declaration(frozenset(job.id for job in declared), frozenset(apps))


def app_of(func: str) -> str:
    """The application that a function belongs to, for want of a name: its package, or module, at the top."""
    return func.partition(":")[0].partition(".")[0]
