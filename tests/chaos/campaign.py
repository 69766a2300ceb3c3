"""One campaign: real workers on a real store, the faults of its seed, a quiet end, and what the checker finds."""

from __future__ import annotations

import heapq
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.checker import SECOND, Evidence, Grid, Trouble, check, lateness, overlapping
from tests.chaos.faults import EVERYBODY, Fault, Kind, draw
from tests.chaos.places import PLACES, Place
from tests.processes.crew import Crew, Worker
from tests.processes.orders import Orders, every, micros, now_micros
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

from tickwork.clock import to_micros

WORKERS = 3
LEASE, POLL = 4.0, 0.5
SETTLE = LEASE + 2 * POLL + 2.0
"""Seconds after the last fault until everything is punctual again."""
QUIET = 3.0
"""Seconds for which it is watched then."""
LATEST = 1.5
"""Seconds by which a run may be late then, on a busy machine."""
AN_HOUR = 3600.0

JOBS: Sequence[tuple[str, str, float, float, dict[str, Any]]] = (
    ("retried", "work", 0.5, 0.0, {"retry": 3, "coalesce": False, "max_instances": 50}),
    ("at most once", "work_async", 0.5, 0.0, {"coalesce": False, "max_instances": 50}),
    ("coalesced", "work", 0.3, 0.0, {"retry": 2}),
    ("overlapping", "work", 0.7, 1.6, {"retry": 2, "max_instances": 2}),
    ("alone", "work_async", 0.4, 0.7, {}),
    ("long", "work_async", 3.0, LEASE + 1.5, {"retry": 2, "max_instances": 4}),
)
"""Id, function, interval, how long a call takes, policies."""


class Report(NamedTuple):
    seed: int
    store: str
    faults: Counter[str]
    rows: Counter[str]
    starts: int
    overlaps: int
    """Second attempts beside a first one that was taken for lost and went on."""
    worst: float
    """Seconds by which the latest run was late after all was healed."""
    findings: Sequence[str]


class ChaosWorker(Worker):
    module = "tests.chaos.worker"

    def has_started(self) -> bool:
        """Whether it has told its node by now; also after its end."""
        assert self._popen.stdout is not None
        if not self.node and select.select([self._popen.stdout], [], [], 0)[0]:
            with suppress(AssertionError):  # it was killed before
                self.wait_started()
        return bool(self.node)


class Campaign:
    """Workers, each in its place, which is taken by another one when it is killed."""

    def __init__(self, place: Place, folder: Path, crew: Crew) -> None:
        self.place = place
        self.witness = Witness(folder / "witness")
        self.begun = datetime.now(UTC)
        self._crew = crew
        self._hired: list[ChaosWorker] = []
        self._troubles: list[tuple[ChaosWorker | None, str, int, int]] = []
        self._workers = [self._hire(number) for number in range(WORKERS)]
        for worker in self._workers:
            worker.wait_started()
        self.up_at = now_micros()

    def strike(self, fault: Fault) -> Callable[[], None]:
        """Let it go wrong; what makes it well again."""
        begin = now_micros()
        worker = self._workers[max(fault.worker, 0)]
        everybody = fault.worker == EVERYBODY or (fault.kind is Kind.FREEZE and self.place.frozen_holds_all)

        def heal() -> None:
            end(worker)
            # A lease that was not renewed ends later, and whoever waited for a frozen worker's lock could not renew, either.
            until = now_micros() + micros(LEASE + 2 * POLL)
            until = now_micros() if fault.kind is Kind.SHIFT else until
            self._troubles.append((None if everybody else worker, fault.kind, begin, until))

        end = self._begin(fault, worker)
        return heal

    def _begin(self, fault: Fault, worker: ChaosWorker) -> Callable[[ChaosWorker], object]:
        match fault.kind:
            case Kind.KILL:
                worker.signal(signal.SIGKILL)
                worker.wait_ended()
                return lambda _: self._replace(fault.worker)
            case Kind.FREEZE:
                worker.freeze()
                return lambda frozen: frozen.thaw()
            case Kind.CRASH:
                self.place.crash()
                return lambda _: self.place.restart()
            case Kind.SHIFT if worker.has_started():
                worker.ask("shift", seconds=AN_HOUR * (1 if fault.at * 1000 % 2 else -1))
                return lambda shifted: shifted.ask("shift", seconds=0.0)
            case Kind.SHIFT:  # of one that is not up yet there is nothing to see
                return lambda _: None
        line = self.place.line(fault.worker)
        if fault.kind is Kind.DELAY:
            line.delay(fault.size)
        elif fault.kind is Kind.HANG:
            line.hang()
        else:
            line.reset()
        return lambda _: line.heal()

    def answered_through(self, instant: int) -> bool:
        rows = self.place.rows()
        return all(row.closed for row in rows if row.fire_time <= instant) and all(
            any(row.job == job and row.last >= instant for row in rows) for job, *_ in JOBS
        )

    def end(self) -> None:
        for worker in self._workers:
            worker.stop()

    def nodes(self) -> dict[int, str]:
        """By process."""
        return {worker.pid: worker.node for worker in self._hired if worker.has_started()}

    def troubles(self) -> list[Trouble]:
        nodes = self.nodes()
        return [
            Trouble(None if worker is None else nodes.get(worker.pid, "never up"), what, begin, until)
            for worker, what, begin, until in self._troubles
        ]

    def _replace(self, number: int) -> None:
        self._workers[number] = self._hire(number)

    def _hire(self, number: int) -> ChaosWorker:
        jobs = [
            every(interval, id, func=func, start=self.begun, args=[takes], **policies)
            for id, func, interval, takes, policies in JOBS
        ]
        for job in jobs:
            job["func"] = job["func"].replace("tests.processes", "tests.chaos")
        orders = Orders(self.place.url(number), str(self.witness.path), jobs, lease=LEASE, poll=POLL)
        worker = self._crew.add(ChaosWorker(orders, self._crew.new_log()))
        self._hired.append(worker)
        return worker


def run(seed: int, store: str, seconds: float, folder: Path) -> Report:
    """The campaign of that seed on that store, whose faults go on for so long; its logs are in *folder*."""
    with ExitStack() as stack:
        place = stack.enter_context(PLACES[store](folder, WORKERS))
        crew = Crew(folder)
        stack.callback(crew.dismiss)
        campaign = Campaign(place, folder, crew)
        faults = draw(seed, place.kinds, workers=WORKERS, seconds=seconds, lease=LEASE)
        play(campaign, faults)
        healed_at = now_micros()
        time.sleep(SETTLE + QUIET)
        until = now_micros()
        stuck = []
        try:
            wait_until(lambda: campaign.answered_through(until), "an answer to each fire time and an end of each run")
            campaign.end()
        except AssertionError as error:  # the checker says which, if it is more than a matter of time
            stuck.append(str(error).splitlines()[0])
        evidence = Evidence(
            place.rows(), [*campaign.witness.lines("start"), *campaign.witness.lines("end")], campaign.troubles(),
            [grid(place, campaign, *job) for job in JOBS], campaign.nodes(),
            healed_at, healed_at + micros(SETTLE), until,
        )  # fmt: skip
    late = lateness(evidence)
    return Report(
        seed, store, Counter(fault.kind for fault in faults), Counter(row.state for row in evidence.rows),
        len(campaign.witness.lines("start")), len(overlapping(evidence)), late[-1] if late else 0.0,
        [*stuck, *check(evidence, latest=LATEST)],
    )  # fmt: skip


def play(campaign: Campaign, faults: Sequence[Fault]) -> None:
    """Each fault at its time, and its end at its own."""
    began, order = time.monotonic(), count()
    agenda: list[tuple[float, int, Fault | Callable[[], None]]] = [(fault.at, next(order), fault) for fault in faults]
    heapq.heapify(agenda)
    while agenda:
        at, _, deed = heapq.heappop(agenda)
        time.sleep(max(0.0, began + at - time.monotonic()))
        if isinstance(deed, Fault):
            heapq.heappush(agenda, (deed.until, next(order), campaign.strike(deed)))
        else:
            deed()


def grid(
    place: Place, campaign: Campaign, job: str, func: str, interval: float, takes: float, policies: dict[str, Any]
) -> Grid:
    return Grid(
        job, to_micros(campaign.begun), round(interval * SECOND), policies.get("retry", 1),
        policies.get("max_instances", 1), place.anchored_at(job), campaign.up_at,
    )  # fmt: skip
