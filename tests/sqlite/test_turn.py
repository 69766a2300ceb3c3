"""Turns at writing: one at a time, and never waited for without end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tickwork.sqlite import turn
from tickwork.sqlite.turn import Turn

pytest.importorskip("fcntl")


def test_a_turn_is_exclusive(tmp_path: Path) -> None:
    holders: list[str] = []
    clashes: list[str] = []

    def work(name: str) -> None:
        mine = Turn(tmp_path / "turn")
        for _ in range(50):
            mine.take()
            clashes.extend(holders)
            holders.append(name)
            holders.remove(name)
            mine.give_back()
        mine.close()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert clashes == []


def test_a_turn_that_is_given_back_can_be_taken_at_once(tmp_path: Path) -> None:
    a, b = Turn(tmp_path / "turn"), Turn(tmp_path / "turn")
    a.take()

    a.give_back()

    assert b._file is None
    b.take()
    assert not a._try()
    a.close()
    b.close()


def test_a_turn_that_is_held_for_ever_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "PATIENCE", 0.02)
    holder, waiter = Turn(tmp_path / "turn"), Turn(tmp_path / "turn")
    holder.take()

    waiter.take()  # returns, without the turn

    assert not waiter._try()
    holder.close()
    waiter.take()
    assert waiter._try()
    waiter.close()


def test_closing_gives_the_turn_back_and_may_be_repeated(tmp_path: Path) -> None:
    a, b = Turn(tmp_path / "turn"), Turn(tmp_path / "turn")
    a.take()

    a.close()
    a.close()
    a.give_back()

    b.take()
    assert b._try()
    b.close()
