"""The line of a worker: it passes on, takes its time, holds back and delivers later, and resets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.chaos.proxy import Proxy


@pytest.fixture
def line() -> Iterator[Proxy]:
    """Before a server that says again what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        with Proxy(server.getsockname()[1]) as proxy:
            yield proxy


def echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=say_again, args=(connection,), daemon=True).start()


def say_again(connection: socket.socket) -> None:
    with connection, suppress(ConnectionError):
        while said := connection.recv(100):
            connection.sendall(said)


def call(line: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=5)


def test_what_is_said_is_passed_on_and_takes_its_time(line: Proxy) -> None:
    with call(line) as end:
        end.sendall(b"one")
        first = end.recv(10)
        line.delay(0.2)
        began = time.monotonic()
        end.sendall(b"two")
        second, took = end.recv(10), time.monotonic() - began

    assert (first, second) == (b"one", b"two")
    assert took >= 0.4


def test_what_hangs_arrives_when_it_is_healed(line: Proxy) -> None:
    with call(line) as end:
        end.sendall(b"one")
        end.recv(10)
        line.hang()
        end.sendall(b"two")
        end.settimeout(0.3)
        with pytest.raises(TimeoutError):
            end.recv(10)
        line.heal()
        end.settimeout(5)
        answer = end.recv(10)

    assert answer == b"two"


def test_what_is_reset_is_reset_at_once_and_so_is_what_comes_until_it_is_healed(line: Proxy) -> None:
    with call(line) as end:
        end.sendall(b"one")
        end.recv(10)
        line.reset()
        with pytest.raises(ConnectionResetError):
            end.recv(10)
    with pytest.raises(ConnectionResetError), call(line) as refused:
        refused.recv(10)
    line.heal()
    with call(line) as end:
        end.sendall(b"two")

        assert end.recv(10) == b"two"
