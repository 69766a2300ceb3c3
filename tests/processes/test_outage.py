"""The store fails for a while: firing pauses, health says so, it resumes by itself, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import Crew, Process, Worker
from tests.processes.orders import Orders
from tests.processes.outage import HOLD_LOCK, LEASE, POLL, fill, limit_file_size, sit_out, small_disk
from tests.processes.witness import Witness

LONG = float(os.environ.get("TICKWORK_PROCESS_SECONDS", "6")) >= 60
SECONDS = 10.0 if LONG else 3.0
"""How long each outage lasts, longer than a lease; that of the locked file at least until every worker has waited for it in vain."""
RESUMES_WITHIN = 2 * POLL + 5.0
"""Two polls, and what a busy machine may add."""
NOBODY = 65534

pytestmark = pytest.mark.processes


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach: those of pytest are for its own user alone."""
    folder = Path(tempfile.mkdtemp(prefix="tickwork-outage-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_file_locked_by_another_process(crew: Crew, witness: Witness, tmp_path: Path, figure: Figure):
    lockers: list[Process] = []

    def lock(_: Sequence[Worker]) -> None:
        lockers.append(crew.run(HOLD_LOCK, str(tmp_path / "jobs.db")))

    orders = Orders(str(tmp_path / "jobs.db"), str(witness.path), lease=LEASE, poll=POLL)
    recovery = sit_out(crew, orders, witness, lock, lambda: lockers.pop().kill(), seconds=SECONDS, gates=tmp_path)

    assert "locked" in recovery.told
    assert recovery.resumed < RESUMES_WITHIN
    figure(f"locked file: {recovery}")


def test_disk_full(crew: Crew, witness: Witness, tmp_path: Path, figure: Figure):
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("this user may not mount a small tmpfs; see test_file_too_large")
        orders = Orders(str(disk / "jobs.db"), str(witness.path), lease=LEASE, poll=POLL)
        recovery = sit_out(
            crew, orders, witness, lambda _: fill(disk), (disk / "ballast").unlink, seconds=SECONDS, gates=tmp_path
        )  # fmt: skip

    assert "full" in recovery.told
    assert recovery.resumed < RESUMES_WITHIN
    figure(f"disk full: {recovery}")


@pytest.mark.skipif(
    os.geteuid() == 0 and not LONG, reason="the disk that is full shows the same, where it can be mounted"
)
def test_file_too_large(crew: Crew, witness: Witness, tmp_path: Path, figure: Figure):
    limited: list[Worker] = []

    def limit(workers: Sequence[Worker]) -> None:
        limited.extend(workers)
        limit_file_size(workers, (tmp_path / "jobs.db-wal").stat().st_size)

    orders = Orders(str(tmp_path / "jobs.db"), str(witness.path), lease=LEASE, poll=POLL)
    recovery = sit_out(
        crew, orders, witness, limit, lambda: limit_file_size(limited, resource.RLIM_INFINITY), seconds=SECONDS, gates=tmp_path
    )  # fmt: skip

    assert recovery.resumed < RESUMES_WITHIN
    figure(f"file size limit: {recovery}")


def without_rights(folder: Path) -> tuple[Callable[[Sequence[Worker]], None], Callable[[], None]]:
    return lambda _: folder.chmod(0), lambda: folder.chmod(0o700)


def moved_away(folder: Path) -> tuple[Callable[[Sequence[Worker]], None], Callable[[], None]]:
    here, away = folder / "jobs.db", folder / "away.db"
    return lambda _: void(here.rename(away)), lambda: void(away.rename(here))


@pytest.mark.parametrize("take_away", [without_rights, moved_away])
def test_file_out_of_reach(
    crew: Crew, open_folder: Path, figure: Figure,
    take_away: Callable[[Path], tuple[Callable[[Sequence[Worker]], None], Callable[[], None]]],
):  # fmt: skip
    folder, gates = open_folder / "store", open_folder / "gates"
    folder.mkdir(mode=0o700)
    gates.mkdir()
    witness = Witness(open_folder / "witness")
    uid = NOBODY if os.geteuid() == 0 else None  # root needs no rights
    if uid is not None:
        os.chown(folder, uid, uid)
    fail, mend = take_away(folder)
    orders = Orders(str(folder / "jobs.db"), str(witness.path), lease=LEASE, poll=POLL, uid=uid)
    recovery = sit_out(crew, orders, witness, fail, mend, seconds=SECONDS, gates=gates)

    assert recovery.resumed < RESUMES_WITHIN
    figure(f"{take_away.__name__.replace('_', ' ')}: {recovery}")


def void(_: object) -> None:
    """For a callable of which only the effect is wanted."""
