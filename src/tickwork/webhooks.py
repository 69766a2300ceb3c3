"""Events over HTTP: each is a POST of JSON, signed as the Standard Webhooks rules say (standardwebhooks.com).

scheduler.add_listener(Webhook("https://ops.example.com/hooks", events=[RunSettled, StoreLost], secret=SECRET))

The rule: a webhook is a listener like any other. It waits for its server on its own thread, and only so many events
wait for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import HTTPErrorProcessor, HTTPHandler, HTTPSHandler, Request, build_opener

from tickwork.checks import shown
from tickwork.durations import Duration, read_duration
from tickwork.errors import InvalidJobError
from tickwork.events import Event, as_json, name_of, subject_of
from tickwork.listeners import check_kinds
from tickwork.policies import Retry

if TYPE_CHECKING:
    from socket import socket

    from _typeshed import WriteableBuffer

SECRET_PREFIX = "whsec_"  # noqa: S105  not a secret, but how all of them begin
SECRET_BYTES = range(24, 65)
LONGEST_TIMEOUT = timedelta(minutes=1)
LONGEST_RETRY_AFTER = timedelta(minutes=1)
"""A server may ask for a pause, but not for a longer one."""
OFTEN_ENOUGH = Retry(max_attempts=5, delay=1, backoff=3, max_delay=30, jitter=0.2)
TRIED_AGAIN = {408, 425, 429, *range(500, 600)}
"""The answers after which the same request may succeed."""
GONE = 410

log = logging.getLogger("tickwork.webhooks")


def new_secret() -> str:
    """A secret to sign with, for both sides to know: `whsec_...`."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


class Webhook:
    """A listener that posts events to *url*.

    *events* are the classes of events it wants; none means all. *payload* makes of an event what is sent as JSON, or
    None if nothing is to be sent; without it that is `tickwork.events.as_json`, which shows no arguments and results.
    *secret* (`new_secret`) signs each request; of several, each does, so that they can be changed one after the other.
    *headers* are sent besides. *timeout* (seconds) is how long the server may take to be reached, and then to answer.

    A request that gets no answer, or 408, 425, 429 or 5xx, is tried again as *retry* says: five times, with pauses of
    a second to half a minute, unless told otherwise. Any other answer but 2xx is final for its event, and logged;
    redirects are not followed.
    After 410 (gone) nothing is sent any more. Meanwhile later events wait: they arrive in order, and all attempts at
    one of them have the same `webhook-id`. The proxy of the environment (`HTTPS_PROXY`) is used.

    Raises InvalidJobError for what cannot be an address, a secret, a header or a timeout.
    """

    def __init__(
        self,
        url: str,
        *,
        events: Collection[type] = (),
        secret: str | Sequence[str] = (),
        payload: Callable[[Any], Any] = as_json,
        headers: Mapping[str, str] | None = None,
        timeout: Duration = timedelta(seconds=10),
        retry: Retry = OFTEN_ENOUGH,
    ) -> None:
        if not isinstance(events, Collection) or isinstance(events, str):
            raise InvalidJobError(f"Webhook events: expected a list of event classes, got {shown(events)}")
        if not callable(payload):
            raise InvalidJobError(f"Webhook payload: expected a callable that takes the event, got {shown(payload)}")
        if not isinstance(retry, Retry):
            raise InvalidJobError(f"Webhook retry: expected a tickwork.Retry, got {shown(retry)}")
        check_kinds("Webhook events", events)
        self.kinds = tuple(events)
        """What it is told of when it is added as a listener of nothing in particular."""
        self._place = _check_url(url)
        self._url = url
        self._keys = [_read_secret(one) for one in (secret if isinstance(secret, list | tuple) else [secret])]
        self._payload = payload
        self._headers = _check_headers(headers or {})
        self._retry = retry
        length = read_duration("Webhook timeout", timeout, least=timedelta(milliseconds=1), most=LONGEST_TIMEOUT)
        self._timeout = length.total_seconds()
        self._opener = build_opener(_AllAnswers, _HTTP, _HTTPS)
        self._gone = False

    def __repr__(self) -> str:
        return f"<Webhook to {self._place}>"  # the path of an address may be all that guards it

    def __call__(self, event: Event) -> None:
        """Post the event, and return when it has arrived or was given up."""
        payload = None if self._gone else self._payload(event)
        if payload is None:
            return
        body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
        message_id = f"msg_{secrets.token_hex(16)}"
        attempt = 0
        while (answer := self._post(message_id, body)) is not None:
            attempt += 1
            if not answer.again or not self._retry.allows(attempt, None):
                kind, subject = name_of(type(event)), subject_of(event)
                log.warning("%r does not take %s, %s, after %d tries: %s", self, kind, subject, attempt, answer.reason)
                break
            time.sleep(max(self._retry.wait_after(attempt, message_id), answer.after).total_seconds())

    def _post(self, message_id: str, body: bytes) -> _Refusal | None:
        """Send it once; None if it has arrived."""
        request = Request(self._url, body, self._headers | self._signed(message_id, body), method="POST")  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return None if 200 <= answer.status < 300 else self._refused(answer)
        except (OSError, HTTPException) as error:
            return _Refusal(f"{type(error).__name__}: {error}", again=True)

    def _signed(self, message_id: str, body: bytes) -> dict[str, str]:
        """The headers of one attempt: its own instant is a part of what is signed, so that nobody can replay it."""
        sent_at = str(int(time.time()))
        headers = {"Webhook-Id": message_id, "Webhook-Timestamp": sent_at}
        if self._keys:
            content = f"{message_id}.{sent_at}.".encode() + body
            digests = [hmac.digest(key, content, hashlib.sha256) for key in self._keys]
            headers["Webhook-Signature"] = " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests)
        return headers

    def _refused(self, answer: HTTPResponse) -> _Refusal:
        if answer.status == GONE:
            self._gone = True
            return _Refusal("410, the address is gone: nothing is sent to it any more", again=False)
        return _Refusal(f"HTTP status {answer.status}", again=answer.status in TRIED_AGAIN, after=_retry_after(answer))


class _Refusal:
    """Why a request has not arrived, and whether and when it may be sent again."""

    def __init__(self, reason: str, *, again: bool, after: timedelta = timedelta(0)) -> None:
        self.reason = reason
        self.again = again
        self.after = after


class _AllAnswers(HTTPErrorProcessor):
    """Each answer comes back as it is. That an address has moved is for people to look at: what is signed for one
    server is not for another.
    """

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


class _HTTP(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _HTTPS(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_SecureConnection, req)


class _Answer(HTTPResponse):
    """An answer that is given up when it has not come within the timeout of its connection, however steadily it comes.

    Of itself a timeout is for each piece, and a server may send pieces without end: headers, `100 Continue`.
    """

    def __init__(self, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = BufferedReader(_Punctual(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Punctual(RawIOBase):
    """What comes through a socket until its timeout has passed once, counted from now."""

    def __init__(self, sock: socket, pieces: RawIOBase) -> None:
        self._sock = sock
        self._pieces = pieces
        self._timeout = sock.gettimeout() or 0.0
        self._until = time.monotonic() + self._timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self._timeout:g} s")
        self._sock.settimeout(left)
        return self._pieces.readinto(buffer)

    def close(self) -> None:
        with suppress(OSError):  # there is none any more; or it was a proxy's answer, and the server's is yet to come
            self._sock.settimeout(self._timeout)
        self._pieces.close()
        super().close()


def _retry_after(answer: HTTPResponse) -> timedelta:
    text = answer.headers.get("Retry-After", "").strip()
    asked = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    return min(timedelta(seconds=asked), LONGEST_RETRY_AFTER)


def _check_url(url: object) -> str:
    """What of an address may be shown; InvalidJobError if nothing can be posted to it."""
    what = "Webhook url: expected an address such as 'https://ops.example.com/hooks'"
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidJobError(f"{what}, got {type(url).__name__} with what no address has: percent-encode it")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidJobError(f"{what}, got one that cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidJobError(f"{what}, got one with the scheme {parts.scheme[:20]!r} and the host {parts.hostname!r}")
    if "@" in parts.netloc:
        raise InvalidJobError(f"{what}, got one with a password in it: pass headers={{'Authorization': ...}}")
    return f"{parts.scheme}://{parts.netloc}"


def _read_secret(secret: object) -> bytes:
    """The key that *secret* writes down. What is wrong with it is said without showing it."""
    what = f"Webhook secret: expected '{SECRET_PREFIX}' and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} bytes"
    cure = "tickwork.webhooks.new_secret() makes one"
    if not isinstance(secret, str) or not secret.startswith(SECRET_PREFIX):
        raise InvalidJobError(f"{what}, got something that begins otherwise: {cure}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidJobError(f"{what}, got something that is not base64: {cure}") from None
    if len(key) not in SECRET_BYTES:
        raise InvalidJobError(f"{what}, got {len(key)} bytes: {cure}")
    return key


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise InvalidJobError(f"Webhook headers: expected a dict of names and values, got {shown(headers)}")
    checked = {"Content-Type": "application/json", "User-Agent": "tickwork"}
    for name, value in headers.items():
        good = isinstance(name, str) and isinstance(value, str) and name.isascii() and value.isascii()
        if not good or not name.replace("-", "").isalnum() or not value.isprintable():
            raise InvalidJobError(f"Webhook headers: expected names and values of plain text, got {shown(name)}: ...")
        if name.lower().startswith("webhook-"):
            raise InvalidJobError(f"Webhook headers: expected others than the signature's own, got {name!r}")
        checked[name.title()] = value
    return checked
