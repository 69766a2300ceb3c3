"""The server's clock, as samples of it tell."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tickwork.clock import from_micros, to_micros
from tickwork.stores.server_clock import ServerClock, read_own

AN_HOUR = 3_600_000_000


def test_before_anything_is_known_it_is_this_machines() -> None:
    before = to_micros(ServerClock().now())

    assert abs(to_micros(ServerClock().now()) - before) < 1_000_000


def test_a_sample_is_believed_however_far_off_this_machine_is() -> None:
    clock, own = ServerClock(), read_own()

    clock.learn(own, own + 5 * AN_HOUR, own)

    assert abs(clock.now() - from_micros(read_own() + 5 * AN_HOUR)) < timedelta(seconds=1)


@given(st.lists(st.tuples(st.integers(0, 2_000), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_error_is_never_more_than_the_samples_leave_open_and_the_time_never_goes_back(
    trips: list[tuple[int, float]],
) -> None:
    """Trips of various length, of which the server read its clock at some moment."""
    clock, own, told = ServerClock(), read_own(), []

    for trip, moment in trips:
        sent = own
        own += trip
        clock.learn(sent, sent + round(trip * moment) + AN_HOUR, own)
        belief = clock._belief
        assert belief is not None
        assert abs(belief.offset - AN_HOUR) <= belief.uncertainty + 1
        told.append(max(own + belief.offset, belief.floor))

    assert told == sorted(told)


def test_a_clock_that_was_set_is_believed_at_once_in_either_direction() -> None:
    clock, own = ServerClock(), read_own()
    clock.learn(own, own, own + 10)

    for offset in (AN_HOUR, -AN_HOUR):
        clock.learn(own + 20, own + 20 + offset, own + 9_000)
        assert abs(to_micros(clock.now()) - (read_own() + offset)) < 1_000_000
