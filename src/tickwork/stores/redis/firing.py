"""Changes of due jobs, as fire.lua writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tickwork.codec import to_text, write_instant
from tickwork.plan import Change
from tickwork.run import Run, RunState
from tickwork.stores.parts import is_held_plainly
from tickwork.stores.redis.rows import (
    begin_of_held_run,
    changed_run,
    end_of_held_run,
    ids_json,
    numbers_json,
    run_id,
    uid,
    written_job,
    written_run,
)


class Firing:
    """Some changes, and the rows that they become; *rests* are the ends of the jobs' rows, by uid, which stay."""

    def __init__(self, changes: Sequence[Change], rests: Mapping[str, str]) -> None:
        self.changes = changes
        self.uids: list[str] = []
        self.jobs: list[str] = []
        self.ids: list[str] = []
        self.runs: list[str] = []
        self.owned: list[tuple[int, Run]] = []
        """Each run, and the place of its change."""
        self._versions: list[str] = []
        self._fire_times: list[int | None] = []
        self._leases: list[int | None] = []
        """When the leases end of those that are held plainly."""
        node = known = lease = begin = None
        for place, (job, runs, _) in enumerate(changes, 1):
            following, last = write_instant(job.next_fire_time), write_instant(job.last_fire_time)
            self.uids.append(job_uid := uid(job.uid))
            self._versions.append(str(job.version - 1))
            self._fire_times.append(following)
            self.jobs.append(written_job(job, following, last, rests[job_uid]))
            for run in runs:
                self.owned.append((place, run))
                if run.lease_until is None or not is_held_plainly(job, run):
                    self.ids.append(run_id(run))
                    self.runs.append(written_run(run))
                    self._leases.append(None)
                    continue
                if run.lease_until is not known or run.node is not node:  # the same hold, nearly always
                    node, known, lease = run.node, run.lease_until, write_instant(run.lease_until)
                    begin = begin_of_held_run(run, lease)
                self.ids.append(f"{job_uid}-{last}-1")
                self.runs.append(f"{begin}{last}{end_of_held_run(run)}")
                self._leases.append(lease)

    def words(self, executor: str, name: str, now: int) -> Sequence[str | int]:
        """What the script is given; *name* is who wakes others, if they have something to do with it."""
        make_way = [
            (place, *changed_run(run)) for place, change in enumerate(self.changes, 1) for run in change.cancelled
        ]  # fmt: skip
        news = make_way or (None in self._leases and any(run.state is RunState.PENDING for _, run in self.owned))
        return (
            executor, ids_json(self.uids), ids_json(self._versions), numbers_json(self._fire_times),
            "\n".join(self.jobs), ids_json(self.ids), numbers_json([place for place, _ in self.owned]),
            numbers_json(self._leases), "\n".join(self.runs), to_text(make_way), name if news else "", now,
        )  # fmt: skip
