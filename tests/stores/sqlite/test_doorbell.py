"""The doorbell: others are rung, the dead are cleared away, and nothing that is no pipe is written to."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from tests.deeds import PATIENCE

from tickwork.stores.sqlite.doorbell import SUFFIX, Doorbell

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes: polling does it all")


def test_the_others_are_rung_and_not_oneself(tmp_path: Path) -> None:
    heard = [threading.Event() for _ in range(3)]
    bells = [Doorbell(tmp_path) for _ in heard]
    for bell, event in zip(bells, heard, strict=True):
        bell.listen(event.set)

    bells[0].ring_others()

    assert heard[1].wait(PATIENCE)
    assert heard[2].wait(PATIENCE)
    assert not heard[0].is_set()
    for bell in bells:
        bell.close()


def test_one_who_does_not_listen_can_ring(tmp_path: Path) -> None:
    heard = threading.Event()
    bell = Doorbell(tmp_path)
    bell.listen(heard.set)

    Doorbell(tmp_path).ring_others()

    assert heard.wait(PATIENCE)
    bell.close()


def test_closing_takes_the_pipe_away_and_ends_the_thread(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path)
    before = threading.active_count()
    bell.listen(lambda: None)
    pipes = [*tmp_path.iterdir()]

    bell.close()
    bell.close()

    assert len(pipes) == 1
    assert [*tmp_path.iterdir()] == []
    for thread in threading.enumerate():
        if thread.name == "tickwork-doorbell":
            thread.join(PATIENCE)
    assert threading.active_count() <= before


def test_the_pipe_of_a_dead_process_is_cleared_away(tmp_path: Path) -> None:
    dead = tmp_path / f"dead{SUFFIX}"
    os.mkfifo(dead)

    Doorbell(tmp_path).ring_others()

    assert not dead.exists()


def test_what_is_no_pipe_is_neither_written_to_nor_removed(tmp_path: Path) -> None:
    """A file, a link to a file, a link to a pipe elsewhere, a folder: whoever put them there."""
    folder, elsewhere = tmp_path / "bells", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / f"file{SUFFIX}").write_text("precious")
    (elsewhere / "target").write_text("precious")
    (folder / f"link{SUFFIX}").symlink_to(elsewhere / "target")
    os.mkfifo(elsewhere / "pipe")
    reader = os.open(elsewhere / "pipe", os.O_RDWR | os.O_NONBLOCK)
    (folder / f"pipe{SUFFIX}").symlink_to(elsewhere / "pipe")
    (folder / f"folder{SUFFIX}").mkdir()
    before = sorted(folder.iterdir())

    Doorbell(folder).ring_others()

    assert (folder / f"file{SUFFIX}").read_text() == (elsewhere / "target").read_text() == "precious"
    assert sorted(folder.iterdir()) == before
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)


def test_a_pipe_that_is_full_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / f"full{SUFFIX}"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(reader, b"x" * 4096)

    Doorbell(tmp_path).ring_others()

    assert path.exists()
    os.close(reader)


def test_a_folder_that_is_not_there_costs_only_the_hint(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path / "nowhere")

    bell.listen(lambda: None)
    bell.ring_others()
    bell.close()

    assert not (tmp_path / "nowhere").exists()
