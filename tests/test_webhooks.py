"""Events over HTTP, to a real server that answers, fails, hangs, resets and lies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, NamedTuple

import pytest
from tests import deeds
from tests.deeds import PATIENCE
from tests.samples import NOW, make_job, make_run

from tickwork import BackgroundScheduler, InvalidJobError, Retry
from tickwork.events import RunSettled, RunStarted, StoreLost, as_json
from tickwork.listeners import Listeners
from tickwork.webhooks import Webhook, new_secret

AT_ONCE = Retry(5, delay=0.001)
SETTLED = RunSettled(make_run(make_job()), NOW)


ENDLESS = {
    "endless continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless status": (b"HTTP/1.1 200 ", b"O"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "endless header": (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "endless header after continue": (b"HTTP/1.1 100 Continue\r\nX: ", b"y"),
    "endless body": (b"HTTP/1.1 500 No\r\n\r\n", b"y"),
}
"""What a server says first, and then without end."""


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A server that does what stands in `script`, request by request, and then answers 204."""

    def __init__(self) -> None:
        self.script: list[int | str] = []
        self.location = ""
        self.received: Queue[Received] = Queue()
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.put(
                    Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
                receiver.act(self, receiver.script.pop(0) if receiver.script else 204)

            def do_GET(self) -> None:
                receiver.received.put(Received(self.path, {}, b"a redirect was followed"))

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks?token=abc"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def act(self, handler: BaseHTTPRequestHandler, deed: int | str) -> None:
        match deed:
            case int():
                handler.send_response(deed)
                if 300 <= deed < 400:
                    handler.send_header("Location", self.url)
                if deed == 429:
                    handler.send_header("Retry-After", "0")
                handler.end_headers()
            case "hang":
                assert self.released.wait(PATIENCE)
            case "reset":
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
            case "garbage":
                handler.wfile.write(b"\x00\xff not HTTP\r\n\r\n")
            case "half":
                handler.wfile.write(b"HTTP/1.1")
            case "moved":
                handler.send_response(302)
                handler.send_header("Location", self.location)
                handler.end_headers()
            case endless:
                first, repeated = ENDLESS[endless]
                with suppress(OSError):  # until the other side has had enough
                    handler.wfile.write(first)
                    while not self.released.wait(0.001):
                        handler.wfile.write(repeated)

    def next(self) -> Received:
        return self.received.get(timeout=PATIENCE)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_an_event_arrives_as_json(receiver: Receiver) -> None:
    Webhook(receiver.url, headers={"authorization": "Bearer abc"})(SETTLED)

    got = receiver.next()
    assert json.loads(got.body) == as_json(SETTLED)
    assert got.path == "/hooks?token=abc"
    assert (got.headers["content-type"], got.headers["authorization"]) == ("application/json", "Bearer abc")
    assert "webhook-signature" not in got.headers


def test_each_request_is_signed_with_each_secret_as_the_standard_says(receiver: Receiver) -> None:
    secrets = [new_secret(), new_secret()]

    Webhook(receiver.url, secret=secrets)(SETTLED)

    got = receiver.next()
    assert got.headers["webhook-id"].startswith("msg_")
    assert "." not in got.headers["webhook-id"]
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    content = b".".join((got.headers["webhook-id"].encode(), got.headers["webhook-timestamp"].encode(), got.body))
    assert got.headers["webhook-signature"].split(" ") == [
        "v1,"
        + base64.b64encode(
            hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
        ).decode()
        for secret in secrets
    ]


def test_the_signature_is_that_of_the_standards_own_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the tests that the standard's libraries share."""
    monkeypatch.setattr(time, "time", lambda: 1614265330.5)
    webhook = Webhook("https://example.com", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = webhook._signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')

    assert headers["Webhook-Signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("trouble", [500, 503, 408, 429, "reset", "garbage", "half", "hang"])
def test_what_did_not_arrive_is_sent_again_under_the_same_id(receiver: Receiver, trouble: int | str) -> None:
    receiver.script = [trouble, trouble, 200]
    webhook = Webhook(receiver.url, retry=AT_ONCE, timeout=0.2 if trouble == "hang" else 5, secret=new_secret())

    webhook(SETTLED)

    attempts = [receiver.next() for _ in range(3)]
    assert len({one.headers["webhook-id"] for one in attempts}) == 1
    assert len({one.body for one in attempts}) == 1
    assert receiver.received.empty()


def test_what_never_arrives_is_given_up_and_logged_and_the_next_one_is_sent(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script = [500] * 5
    webhook = Webhook(receiver.url, retry=AT_ONCE)

    webhook(SETTLED)
    webhook(StoreLost("disk full", NOW))

    bodies = [json.loads(receiver.next().body)["type"] for _ in range(6)]
    assert bodies == ["run.settled"] * 5 + ["store.lost"]
    assert "does not take run.settled, run " in caplog.text
    assert "after 5 tries: HTTP status 500" in caplog.text
    assert "token" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404])
def test_other_answers_are_final_and_no_redirect_is_followed(
    receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script = [status]

    Webhook(receiver.url, retry=AT_ONCE)(SETTLED)

    receiver.next()
    assert receiver.received.empty()
    assert f"after 1 tries: HTTP status {status}" in caplog.text


@pytest.mark.parametrize("location", [
    "http://[::1", "http://127.0.0.1:port/", "//", "/hooks", "?", "", "file:///etc/passwd", "ftp://127.0.0.1/", "javascript:",
    "http://\u0000", "\x80", "http://127.0.0.1:0/", "a" * 10_000,
])  # fmt: skip
def test_wherever_an_address_has_moved_to_is_not_even_read(
    receiver: Receiver, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script, receiver.location = ["moved"], location

    Webhook(receiver.url, retry=AT_ONCE)(SETTLED)

    receiver.next()
    assert receiver.received.empty()
    assert "after 1 tries: HTTP status 302" in caplog.text


@pytest.mark.parametrize("endless", ENDLESS)
def test_a_server_that_never_comes_to_an_end_has_no_longer_than_one_that_is_silent(
    receiver: Receiver, endless: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each byte comes in time; the answer as a whole does not."""
    receiver.script = [endless, endless]
    began = time.monotonic()

    Webhook(receiver.url, retry=Retry(2, delay=0.001), timeout=0.3)(SETTLED)

    assert time.monotonic() - began < 5
    assert "after 2 tries" in caplog.text


def test_a_slow_server_hurts_neither_the_schedule_nor_other_listeners(receiver: Receiver) -> None:
    receiver.script = ["endless continue"] * 1_000
    scheduler = BackgroundScheduler()
    scheduler.add_listener(Webhook(receiver.url, events=[RunSettled], retry=Retry(1_000, delay=0), timeout=60))
    ledger = deeds.Ledger(scheduler)
    scheduler.start()
    for _ in range(5):
        scheduler.add_job(deeds.nothing)
    runs = [ledger.next() for _ in range(5)]
    receiver.next()
    waiting = scheduler.health().events_waiting
    scheduler.shutdown()

    assert [run.state.value for run in runs] == ["succeeded"] * 5
    assert waiting == 5
    receiver.released.set()


def test_nothing_is_sent_any_more_to_what_is_gone(receiver: Receiver) -> None:
    receiver.script = [410]
    webhook = Webhook(receiver.url, retry=AT_ONCE)

    webhook(SETTLED)
    webhook(SETTLED)

    receiver.next()
    assert receiver.received.empty()


def test_nobody_listens_at_that_address(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        Webhook(f"http://127.0.0.1:{unused.getsockname()[1]}", retry=Retry(2, delay=0.001))(SETTLED)

    assert "after 2 tries: URLError" in caplog.text


def test_a_server_that_does_not_speak_tls_is_one_that_cannot_be_reached(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    Webhook(receiver.url.replace("http:", "https:"), retry=Retry(2, delay=0.001))(SETTLED)

    assert receiver.received.empty()
    assert "after 2 tries: URLError: <urlopen error [SSL" in caplog.text


def test_a_payload_chooses_what_is_sent_and_in_what_shape(receiver: Receiver) -> None:
    webhook = Webhook(
        receiver.url, events=[RunSettled, StoreLost],
        payload=lambda event: {"text": event.error} if isinstance(event, StoreLost) else None,
    )  # fmt: skip

    webhook(SETTLED)
    webhook(StoreLost("disk full", NOW))

    assert json.loads(receiver.next().body) == {"text": "disk full"}
    assert receiver.received.empty()


@pytest.mark.parametrize("payload", [lambda event: object(), lambda event: float("nan"), lambda event: 1 / 0])
def test_a_payload_that_is_no_json_is_logged_by_those_who_tell(
    receiver: Receiver, payload: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    listeners = Listeners()
    listeners.add(Webhook(receiver.url, payload=payload))

    listeners.tell(SETTLED)

    assert listeners.wait_told(PATIENCE) == []
    assert "raised on run.settled" in caplog.text
    assert receiver.received.empty()


def test_a_webhook_of_a_scheduler_hears_only_what_it_asked_for(receiver: Receiver) -> None:
    scheduler = BackgroundScheduler()
    scheduler.add_listener(Webhook(receiver.url, events=[RunStarted, RunSettled]))
    scheduler.start()
    scheduler.add_job(deeds.nothing, id="job")

    types = [json.loads(receiver.next().body)["type"] for _ in range(2)]
    scheduler.shutdown()

    assert types == ["run.started", "run.settled"]
    assert receiver.received.empty()


def test_a_server_that_hangs_holds_up_no_job_and_no_shutdown(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script = ["hang"] * 100
    scheduler = BackgroundScheduler()
    ledger = deeds.Ledger(scheduler)
    scheduler.add_listener(Webhook(receiver.url, timeout=30))
    scheduler.start()
    receiver.next()

    scheduler.add_job(deeds.nothing, "interval", seconds=0.01, id="job")
    ran = [ledger.next() for _ in range(5)]
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        scheduler.shutdown()

    assert len(ran) == 5
    assert time.monotonic() - began < 5
    assert "the scheduler stops before listener <Webhook to http://127.0.0.1:" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": None}, "Webhook url: expected an address"),
        ({"url": ""}, "Webhook url: expected an address"),
        ({"url": "ftp://example.com"}, "the scheme 'ftp'"),
        ({"url": "file:///etc/passwd"}, "the scheme 'file'"),
        ({"url": "https://"}, "the host None"),
        ({"url": "https://user:hunter2@example.com"}, "a password in it"),
        ({"url": "https://example.com/\r\nX: y"}, "percent-encode"),
        ({"url": "https://example.com/한국"}, "percent-encode"),
        ({"url": "https://example.com:99999"}, "cannot be read"),
        ({"secret": "hunter2"}, "begins otherwise"),
        ({"secret": "whsec_한국"}, "not base64"),
        ({"secret": "whsec_aGVsbG8="}, "got 5 bytes"),
        ({"secret": [None]}, "begins otherwise"),
        ({"secret": 5}, "begins otherwise"),
        ({"secret": b"whsec_"}, "begins otherwise"),
        ({"secret": ""}, "begins otherwise"),
        ({"events": None}, "Webhook events: expected a list of event classes, got None"),
        ({"events": "RunSettled"}, "Webhook events: expected a list of event classes"),
        ({"events": [int]}, r"Webhook events: expected event classes \(SchedulerStarted, .*\), got <class 'int'>"),
        ({"payload": {}}, "Webhook payload"),
        ({"headers": ["X"]}, "Webhook headers"),
        ({"headers": {"X": "a\r\nY: b"}}, "Webhook headers"),
        ({"headers": {"X Y": "a"}}, "Webhook headers"),
        ({"headers": {"X": 1}}, "Webhook headers"),
        ({"headers": {"webhook-id": "1"}}, "others than the signature's own"),
        ({"timeout": 0}, "Webhook timeout"),
        ({"timeout": -1}, "Webhook timeout"),
        ({"timeout": timedelta(days=1)}, "Webhook timeout"),
        ({"timeout": None}, "Webhook timeout"),
        ({"retry": 5}, "Webhook retry"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once_and_no_secret_is_shown(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError, match=message) as refused:
        Webhook(**{"url": "https://example.com", **options})

    assert "hunter2" not in str(refused.value)


def test_it_shows_no_more_of_its_address_than_the_server() -> None:
    assert repr(Webhook("https://example.com/services/T0/B0/secret")) == "<Webhook to https://example.com>"
