"""Several processes on one Redis server: one is killed, the server is restarted; each fire time once, each run accounted for."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import Crew
from tests.processes.orders import Orders, now_micros, waiting_at
from tests.processes.patience import wait_until
from tests.processes.test_postgresql import PROGRAM, calls
from tests.processes.test_takeover import SLACK, begin, first_attempt, seconds
from tests.processes.witness import Witness
from tests.servers import KEPT, RedisServer

from tickwork.clock import to_micros
from tickwork.run import Run, RunState
from tickwork.stores.redis import RedisStore

pytestmark = pytest.mark.processes

EVERY = 0.1
JOBS = 10
LEASE = 2.0


@contextmanager
def ledger_of(url: str) -> Iterator[RedisStore]:
    store = RedisStore(url)
    store.open()
    yield store
    store.close()


def test_no_fire_time_is_doubled_or_forgotten_when_one_of_four_is_killed(
    crew: Crew, redis_url: str, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    workers = [crew.run(PROGRAM, redis_url, str(witness), str(JOBS), str(EVERY)) for _ in range(4)]
    wait_until(lambda: len({line[2] for line in calls(witness)}) == 4, "four processes at work")

    os.kill(workers[0].pid, signal.SIGKILL)
    over_at = time.monotonic() + LEASE
    with ledger_of(redis_url) as store:
        wait_until(lambda: time.monotonic() > over_at and not store.lost(1), "that what the dead one held is closed")
        for worker in workers[1:]:
            worker.hang_up()
            assert worker.wait_ended() == 0, worker.log.read_text()
        check(store.runs(limit=100_000), witness)


def test_no_fire_time_is_doubled_or_forgotten_when_the_server_is_killed_and_comes_back(
    crew: Crew, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    with RedisServer(KEPT) as server:
        workers = [crew.run(PROGRAM, server.url(), str(witness), str(JOBS), str(EVERY)) for _ in range(3)]
        wait_until(lambda: len({line[2] for line in calls(witness)}) == 3, "three processes at work")

        server.kill()
        time.sleep(0.5)  # so long they are without it
        server.start()
        before = len(calls(witness))
        wait_until(lambda: len(calls(witness)) > before + 5 * JOBS, "that they go on")
        for worker in workers:
            worker.hang_up()
            assert worker.wait_ended() == 0, worker.log.read_text()
        with ledger_of(server.url()) as store:
            check(store.runs(limit=100_000), witness)


def test_a_killed_worker_is_taken_over_when_its_lease_ends_and_not_before(
    crew: Crew, redis_url: str, witness: Witness, figure: Figure, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    lease = RedisStore.lease.total_seconds()
    survivor, doomed = crew.hire(Orders(redis_url, str(witness.path), lease=lease), 2, paused=True)
    begin(doomed, waiting_at(gate, "killed", retry=2), witness)
    survivor.ask("resume")

    killed_at = now_micros()
    doomed.signal(signal.SIGKILL)
    with ledger_of(redis_url) as store:
        killed = first_attempt(store, "killed")
    wait_until(lambda: len(witness.lines("start")) == 2, "the second attempt")
    gate.touch()
    survivor.stop()

    took = seconds(killed, killed_at)
    assert (killed.state, "did not renew its lease" in (killed.reason or "")) == (RunState.LOST, True)
    assert lease * 2 / 3 < took < lease + SLACK, "at most a third of a lease had passed since its renewal"
    figure(f"takeover on redis, lease {lease:.0f} s: {took:.2f} s after kill -9")


def check(runs: list[Run], witness: Path) -> None:
    """Each call has its row, each fire time one answer, and what succeeded was called."""
    called = Counter((job, int(fire_time)) for job, fire_time, _ in calls(witness))
    recorded = {(run.job_id, to_micros(run.fire_time)): run.state for run in runs}
    assert {run.state for run in runs if not run.state.closed} <= {RunState.PENDING}
    assert [key for key, times in called.items() if times > 1] == []
    assert called.keys() <= recorded.keys()
    assert {recorded[key] for key in called} <= {RunState.SUCCEEDED, RunState.LOST}
    assert [key for key, state in recorded.items() if state is RunState.SUCCEEDED and key not in called] == []
    for job in {run.job_id for run in runs}:
        own = sorted(
            (to_micros(run.fire_time), to_micros(run.through or run.fire_time)) for run in runs if run.job_id == job
        )
        gaps = {after[0] - before[1] for before, after in pairwise(own)}
        assert gaps == {int(EVERY * 1e6)}, f"a fire time of {job} has no answer"
