"""The server's clock, as samples of it tell."""

from __future__ import annotations

from datetime import timedelta
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from tickwork.clock import from_micros, to_micros
from tickwork.stores.server_clock import DRIFT, ServerClock, read_own

AN_HOUR = 3_600_000_000


def test_before_anything_is_known_it_is_this_machines() -> None:
    before = to_micros(ServerClock().now())

    assert abs(to_micros(ServerClock().now()) - before) < 1_000_000


def test_a_sample_is_believed_however_far_off_this_machine_is() -> None:
    clock, own = ServerClock(), read_own()

    clock.learn(own, own + 5 * AN_HOUR, own)

    assert abs(clock.now() - from_micros(read_own() + 5 * AN_HOUR)) < timedelta(seconds=1)


@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.floats(0, 1), st.integers(0, 2_000_000)), min_size=1, max_size=30),
    st.floats(-0.99e-6 * DRIFT, 0.99e-6 * DRIFT),
)
def test_the_time_told_is_never_ahead_of_the_servers_nor_behind_by_more_than_a_trip_and_never_goes_back(
    trips: list[tuple[int, float, int]], drift: float
) -> None:
    """Trips of various length and distance, of which the server read its clock at some moment."""
    clock, began, own = ServerClock(), 10**12, 10**12
    told, after = 0, 0

    def tell_server(own: float) -> float:
        return own + AN_HOUR + drift * (own - began)

    for trip, moment, pause in trips:
        sent, own = own, own + trip
        clock.learn(sent, floor(tell_server(sent + trip * moment)), own)
        belief = clock._belief
        assert belief is not None
        after = belief.tell(own)
        assert told <= after <= tell_server(own)
        assert after >= tell_server(own) - trip * (1 + 1e-6 * DRIFT) - 4
        own += pause
        told = belief.tell(own)
        assert after <= told <= tell_server(own)


def test_a_clock_that_is_corrected_slowly_never_goes_back() -> None:
    clock, own, server = ServerClock(), 10**12, 10**12 + AN_HOUR
    told = []

    for _ in range(60):  # a second in which the server's clock goes 400 microseconds too slow
        clock.learn(own, server, own + 10)
        belief = clock._belief
        assert belief is not None
        told += [belief.tell(own + 10), belief.tell(own + 900_000)]
        own, server = own + 1_000_000, server + 999_600

    assert told == sorted(told)
    assert abs(told[-1] - (server - 100_000)) < 1_000


def test_a_clock_that_was_set_is_believed_at_once_in_either_direction() -> None:
    clock, own = ServerClock(), read_own()
    clock.learn(own, own, own + 10)

    for offset in (AN_HOUR, -AN_HOUR):
        clock.learn(own + 20, own + 20 + offset, own + 9_000)
        assert abs(to_micros(clock.now()) - (read_own() + offset)) < 1_000_000
