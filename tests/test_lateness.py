"""The worst lateness of the last minute or two."""

from __future__ import annotations

from tests.samples import MINUTE, NOW, SECOND

from tickwork.lateness import Lateness


def test_nothing_that_began_has_no_lateness() -> None:
    assert Lateness(NOW).worst(NOW + MINUTE) is None


def test_the_worst_counts_for_a_minute_at_least_and_for_two_at_most() -> None:
    lateness = Lateness(NOW)
    lateness.note(SECOND, NOW)
    lateness.note(5 * SECOND, NOW + 30 * SECOND)
    lateness.note(2 * SECOND, NOW + 70 * SECOND)

    worst = [lateness.worst(NOW + second * SECOND) for second in (70, 129, 131, 200)]

    assert worst == [5 * SECOND, 5 * SECOND, 2 * SECOND, None]


def test_after_a_clock_was_set_back_it_begins_anew() -> None:
    lateness = Lateness(NOW)
    lateness.note(SECOND, NOW)

    assert lateness.worst(NOW - MINUTE) is None
