"""A job that is added in one process is started in another at once; without the bell, within a poll."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import Crew, Worker
from tests.processes.ledger import Ledger
from tests.processes.orders import Orders, at
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

TIMES = 9
LONG_POLL, SHORT_POLL = 30.0, 1.0

pytestmark = pytest.mark.processes


def test_job_is_started_by_another_process_at_once(crew: Crew, ledger: Ledger, witness: Witness, figure: Figure):
    orders = Orders(str(ledger.path), str(witness.path), poll=LONG_POLL)
    (firing,) = crew.hire(orders, 1)
    (adding,) = crew.hire(orders, 1, paused=True)

    delays = [add_and_wait(f"job-{number}", adding, firing, witness) for number in range(TIMES)]

    assert median(delays) < 0.5  # only the bell can explain it: the poll is 30 s
    assert max(delays) < LONG_POLL / 4
    figure(f"doorbell: from add_job to the start in another process {min(delays) * 1e3:.1f} to {max(delays) * 1e3:.1f} ms, "
           f"median {median(delays) * 1e3:.1f} ms")  # fmt: skip


def no_pipes(folder: Path) -> None:
    for bell in folder.glob("*.bell"):
        bell.unlink()


@pytest.mark.parametrize(
    ("bell", "break_it"), [(False, lambda _: None), (True, no_pipes)], ids=["no mkfifo", "no pipes"]
)
def test_without_the_bell_polling_finds_the_job(
    crew: Crew, ledger: Ledger, witness: Witness, figure: Figure, bell: bool, break_it: Callable[[Path], None]
):
    orders = Orders(str(ledger.path), str(witness.path), poll=SHORT_POLL, bell=bell)
    (firing,) = crew.hire(orders, 1)
    (adding,) = crew.hire(orders, 1, paused=True)
    break_it(ledger.path.with_name("jobs.db.tickwork"))

    delays = [add_and_wait(f"job-{number}", adding, firing, witness) for number in range(3)]

    assert max(delays) < SHORT_POLL + 3
    figure(f"doorbell broken: started within {max(delays):.2f} s (poll {SHORT_POLL:.0f} s)")


def add_and_wait(job_id: str, adding: Worker, firing: Worker, witness: Witness) -> float:
    """Seconds from the call of `add_job` in one process to the start in the other."""
    added_at = adding.ask("add", **at(datetime.now(UTC), job_id))
    (start,) = wait_until(lambda: witness.lines("start", job_id), "a job that is started", patience=LONG_POLL + 10)
    assert start.pid == firing.pid
    return (start.at - added_at) / 1e6
