"""A lifeline is a locked file: free as soon as its process is gone, and proof of nothing once it was let go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tickwork.stores.sqlite.lifeline import FORGOTTEN, Lifeline

HOLD = """
import sys
from pathlib import Path
from tickwork.stores.sqlite.lifeline import Lifeline
lifeline = Lifeline(Path(sys.argv[1]))
print(lifeline.hold(), flush=True)
sys.stdin.read()
"""


def test_it_is_cut_when_its_process_is_gone_and_not_before(tmp_path: Path) -> None:
    own = Lifeline(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        name = child.stdout.readline().decode().strip()

        held = own.is_cut(name)
        child.kill()
        child.wait()

        assert (held, own.is_cut(name)) == (False, True)


def test_it_is_one_name_until_it_is_let_go_and_then_no_proof_of_a_death(tmp_path: Path) -> None:
    lifeline = Lifeline(tmp_path)

    names = [lifeline.hold(), lifeline.hold()]
    lifeline.let_go()

    assert names[0] == names[1] != ""
    assert (lifeline.name, lifeline.is_cut(names[0])) == ("", False)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_hold_it_for_its_parent(tmp_path: Path) -> None:
    lifeline, heard, told = Lifeline(tmp_path), *os.pipe()
    name = lifeline.hold()
    child = os.fork()
    if child == 0:
        os.write(told, b"!")
        time.sleep(60)
        os._exit(1)
    os.read(heard, 1)

    lifeline.close()  # as the parent's death does
    cut = lifeline.is_cut(name)
    os.kill(child, 9)
    os.waitpid(child, 0)

    assert cut


def test_where_it_cannot_be_had_there_is_none_and_nothing_is_left_behind(tmp_path: Path) -> None:
    lifeline = Lifeline(tmp_path / "nowhere")

    assert [lifeline.hold() for _ in range(3)] == ["", "", ""]
    assert not lifeline.is_cut("unknown")


def test_those_of_the_long_dead_are_cleared_away_and_those_that_are_held_or_young_are_not(tmp_path: Path) -> None:
    held, young = Lifeline(tmp_path), Lifeline(tmp_path)
    names = {held.hold(), young.hold()}
    (tmp_path / "dead.life").touch()
    young.close()  # died just now
    long_ago = time.time() - FORGOTTEN - 1
    for name in (f"{held.name}.life", "dead.life"):
        os.utime(tmp_path / name, (long_ago, long_ago))

    newest = Lifeline(tmp_path).hold()

    assert {path.stem for path in tmp_path.iterdir()} == {*names, newest}
    held.let_go()
