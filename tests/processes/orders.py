"""What a worker is told: the store, the timing and the jobs; as JSON, through its environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.processes.witness import PATH

from tickwork import Retry
from tickwork.clock import to_micros
from tickwork.scheduler import Scheduler
from tickwork.stores.base import Store

ORDERS = "TICKWORK_ORDERS"
FUNCTIONS = "tests.processes.jobs"

TIME_TO_END = 3.0
"""Seconds that runs may take to end when uvicorn stops."""
NOTHING_GIVEN_UP = {"coalesce": False, "max_instances": 100}
"""However late a busy machine is: a run for each fire time."""


@dataclass(frozen=True, slots=True)
class Orders:
    store: str
    """The path of a SQLite file, or a URL."""
    witness: str
    jobs: list[dict[str, Any]] = field(default_factory=list)
    """The arguments of `add_job`, with the number of attempts as `retry`."""
    lease: float = 10.0
    poll: float = 1.0
    paused: bool = False
    uid: int | None = None
    """The user to become. None: as the test."""
    bell: bool = True
    """Whether this worker can hear the others ring."""

    def environment(self) -> dict[str, str]:
        return {**os.environ, PATH: self.witness, ORDERS: json.dumps(asdict(self))}

    @classmethod
    def given(cls) -> Orders:
        return cls(**json.loads(os.environ[ORDERS]))

    def scheduler(self, kind: type[Scheduler], store: Store | None = None) -> Scheduler:
        """A scheduler of that kind, with the jobs declared; on *store* in place of a new one."""
        url = self.store if "://" in self.store else f"sqlite:///{self.store}"
        scheduler = kind(store or url, lease=timedelta(seconds=self.lease), poll=timedelta(seconds=self.poll))
        for job in self.jobs:
            scheduler.add_job(job["func"], **options(job))
        return scheduler


def options(job: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `add_job` for a job in orders."""
    given = {name: value for name, value in job.items() if name != "func"}
    if "retry" in given:
        given["retry"] = Retry(max_attempts=given["retry"])
    return given


def every(seconds: float, job_id: str, *, func: str = "beat", start: datetime, **policies: Any) -> dict[str, Any]:
    """A job on the grid that begins at *start*, which the test chose and no store."""
    trigger = {"trigger": "interval", "seconds": seconds, "start_date": start.isoformat()}
    return {"func": f"{FUNCTIONS}:{func}", "id": job_id, **trigger, **policies}


def at(instant: datetime, job_id: str, *, func: str = "beat", **policies: Any) -> dict[str, Any]:
    """A job that runs once."""
    return {"func": f"{FUNCTIONS}:{func}", "id": job_id, "trigger": "date", "run_date": instant.isoformat(), **policies}


def waiting_at(gate: Path, job_id: str, *, func: str = "wait_at", **policies: Any) -> dict[str, Any]:
    """A job that runs once, now, for as long as there is no file at *gate*."""
    return at(datetime.now(UTC), job_id, func=func, args=[str(gate)], **policies)


def micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def now_micros() -> int:
    return to_micros(datetime.now(UTC))
