"""The server as this process sees it: a few connections, scripts called on them, and what its faults mean.

The rule: a fault closes the connection it happened on, and the next call opens another. Nothing is sent twice: whether
a call whose reply is lost has had its effect is for the caller to find out, by the versions of what it wrote.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from tickwork.checks import shown
from tickwork.errors import StoreError, StoreSchemaError, StoreUnavailableError, StoreUnusableError
from tickwork.moves import refusal
from tickwork.stores.redis.address import Address
from tickwork.stores.redis.rows import read_move
from tickwork.stores.redis.scripts import SCRIPTS
from tickwork.stores.server_clock import ServerClock, read_own

MAX_SESSIONS = 16
"""How many connections one store has at most, besides that of its doorbell."""
PATIENCE = 10.0
"""Seconds to wait for one of them."""
A_MOMENT = 0.1
OLDEST_VERSION = (6, 2)
ELSEWHERE = "ELSEWHERE "
"""What begins the answer of a script whose store has moved; what is noted of it follows."""
SCHEMA = 1
"""The version of how things lie on the server; a later one that older code cannot read has a higher number."""

log = logging.getLogger("tickwork.store")


@dataclass(slots=True)
class Session:
    """One connection."""

    connection: Any
    age: int
    """How often the server had been closed when it was made: what is older is not kept."""
    used_at: float = -math.inf
    """When it was given back, on the monotonic clock."""
    unread: int = 0
    """How many answers have not been read yet."""

    def is_usable(self, *, in_a_round: bool) -> bool:
        """Whether the server has not said good-bye on it, while it lay idle.

        A round, which is tried again if it fails, does not look for that a moment after it was used last: whoever looks
        lets all other threads go first.
        """
        if in_a_round and time.monotonic() - self.used_at < A_MOMENT:
            return True
        try:
            return not self.connection.can_read(timeout=0)
        except (RedisError, OSError):
            return False

    def command(self, *words: str | bytes | int) -> Any:
        assert self.unread == 0, "an answer would be taken for another"
        self._send(*words)
        return self._read()

    def call(self, name: str, prefix: str, *arguments: str | int) -> Any:
        """What the script of this name answers; it is loaded if the server does not know it."""
        script = SCRIPTS[name]
        try:
            return self.command("EVALSHA", script.sha, 1, prefix, *arguments)
        except NoScriptError:
            self.load(name)
            return self.command("EVALSHA", script.sha, 1, prefix, *arguments)

    def load(self, name: str) -> None:
        """Make a script known to the server."""
        self.command("SCRIPT", "LOAD", SCRIPTS[name].text)

    def call_each(self, name: str, prefix: str, many: Iterable[Sequence[str | int]]) -> list[Any]:
        """What the script answers for each of *many* arguments: while it works at the first, the next are made.

        If it answers with errors the first of them is raised, when all have been read.
        """
        script = SCRIPTS[name]
        sent = []
        for arguments in many:
            self._send("EVALSHA", script.sha, 1, prefix, *arguments)
            sent.append(arguments)
        assert self.unread == len(sent), "an answer would be taken for another"
        answers = [self._read_or_error() for _ in sent]
        answers = [
            self.call(name, prefix, *arguments) if isinstance(answer, NoScriptError) else answer
            for arguments, answer in zip(sent, answers, strict=True)
        ]  # fmt: skip
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers

    def call_ahead(self, name: str, prefix: str, *arguments: str | int) -> Callable[[], Any]:
        """Call a script now, and read what it answers later: behind what was asked before, ahead of what is asked then.

        None, if the server has just forgotten the script: what was asked behind it is under way already.
        """
        self._send("EVALSHA", SCRIPTS[name].sha, 1, prefix, *arguments)

        def read() -> Any:
            try:
                return self._read()
            except NoScriptError:
                return None

        return read

    def _send(self, *words: str | bytes | int) -> None:
        """In one piece: between two of them all other threads go first."""
        self.unread += 1
        self.connection.send_packed_command([b"".join(self.connection.pack_command(*words))])

    def _read(self) -> Any:
        answer = self._read_or_error()
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    def _read_or_error(self) -> Any:
        """An answer, or the error that it is."""
        try:
            answer = self.connection.read_response()
        except ResponseError as error:
            answer = error
        self.unread -= 1
        return answer


class OfThisThread(threading.local):
    in_a_round: bool = False
    session: Session | None = None
    """What a round keeps for itself."""


class Server:
    """A Redis or Valkey server at *address*, from which *clock* learns. Safe to use from several threads.

    *meet* is called on the first connection to each server that answers there: it was restarted, or another took its
    place. It is given the connection, by what the server is known, and whether another one was there before.
    """

    def __init__(
        self, address: Address, clock: ServerClock | None, meet: Callable[[Session, str, bool], None]
    ) -> None:  # fmt: skip
        self.address = address
        self._clock = clock
        self._meet = meet
        self._met: str | None = None
        self._meeting = threading.Lock()
        self._warned = False
        self._idle: list[Session] = []
        self._closed = 0
        self._of_this_thread = OfThisThread()
        self._places = threading.BoundedSemaphore(MAX_SESSIONS)

    def call(self, name: str, *arguments: str | int) -> Any:
        """Call a script. Raises StoreError."""
        with self.session() as session:
            return session.call(name, self.address.prefix, *arguments)

    def command(self, *words: str | bytes | int) -> Any:
        """Send one command. Raises StoreError."""
        with self.session() as session:
            return session.command(*words)

    def learn_from(self, name: str, *arguments: str | int) -> Any:
        """What a script answers whose last list, if there is one, ends with the server's time: our clock learns it."""
        (answer,) = self.learn_from_each(name, [arguments])
        return answer

    def learn_from_each(
        self, name: str, many: Iterable[Sequence[str | int]], *, session: Session | None = None
    ) -> list[Any]:  # fmt: skip
        """The same for each of *many* arguments: while the script works at the first, the next are made.

        On *session*, if one is given, behind what was asked there before.
        """
        sent = 0

        def noted() -> Iterator[Sequence[str | int]]:
            nonlocal sent
            for arguments in many:
                sent = read_own()
                yield arguments

        with self.session() if session is None else nullcontext(session) as one:
            answers = one.call_each(name, self.address.prefix, noted())
        if answers and (seen := answers[-1][-1]):
            self._learn(sent, seen[-1], read_own())
        return answers

    def open(self) -> None:
        """See that the server can be used, and by this version.

        Raises StoreUnavailableError, StoreUnusableError, StoreSchemaError.
        """
        with self.session() as session:
            found = session.command("GET", f"{self.address.prefix}:version")
            check_schema(found, self.address.location)
            if found is None:  # a server that is full takes no writes, and can be read all the same
                session.command("SET", f"{self.address.prefix}:version", SCHEMA, "NX")

    def warn(self) -> None:
        """Say once by what the server could lose what it has confirmed."""
        if not self._warned:
            self._warned = True
            with self.session() as session:
                found = weaknesses(read_info(session), _fsync(session))
            for weakness in found:
                log.warning("%s: %s", self.address.location, weakness)

    def load(self, names: Iterable[str]) -> None:
        """Make these scripts known to the server. Raises StoreError."""
        with self.session() as session:
            for name in names:
                session.load(name)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection, of this block alone; what is raised inside closes it, unless it is the server's last answer."""
        with self.faults_told():
            held = self._of_this_thread
            session = held.session or self._borrow(in_a_round=held.in_a_round)
            held.session = None
            try:
                yield session
            except ResponseError:
                self._keep(session)
                raise
            except BaseException:
                self._drop(session)
                raise
            self._keep(session)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A round of this thread: all that it does inside it does on one connection."""
        held = self._of_this_thread
        held.in_a_round = True
        try:
            yield
        finally:
            held.in_a_round, session = False, held.session
            held.session = None
            if session is not None:
                self._give_back(session)

    def _keep(self, session: Session) -> None:
        """Until the round is over; outside of one it is given back at once."""
        held = self._of_this_thread
        if session.unread:
            self._drop(session)
        elif held.in_a_round and held.session is None:
            held.session = session
        else:
            self._give_back(session)

    def close(self) -> None:
        """Close what lies idle; what is in use is closed by the thread that gives it back."""
        self._closed += 1
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                self._idle.pop().connection.disconnect()

    def connect(self) -> Any:
        """A new connection, for whoever will disconnect it. Raises StoreUnavailableError, StoreUnusableError."""
        kind: Any = SSLConnection if self.address.tls else Connection
        with self.faults_told():
            connection = kind(**self.address.parameters, retry=Retry(NoBackoff(), 0), protocol=2)
            connection.connect()
        return connection

    def _borrow(self, *, in_a_round: bool) -> Session:
        """An idle connection, the one used last, or a new one."""
        if not self._places.acquire(timeout=PATIENCE):
            raise self.unavailable(f"no free connection of {MAX_SESSIONS} within {PATIENCE:.0f} s")
        try:
            while self._idle:
                with suppress(IndexError):
                    session = self._idle.pop()
                    if session.is_usable(in_a_round=in_a_round):
                        return session
                    session.connection.disconnect()
            return self._new_session()
        except BaseException:
            self._places.release()
            raise

    def _new_session(self) -> Session:
        session = Session(self.connect(), self._closed)
        try:
            info = read_info(session)
            self._look_around(info)
            for _ in range(3):  # the first one is also the first on this connection
                sent = read_own()
                self._learn(sent, session.command("TIME"), read_own())
            with self._meeting:
                if (server := info.get("run_id", "")) != self._met:
                    self._meet(session, server, self._met is not None)
                    self._met = server
        except BaseException:
            session.connection.disconnect()
            raise
        return session

    def _look_around(self, info: Mapping[str, str]) -> None:
        """Whether this is a server that can be used."""
        version = info.get("redis_version", "0")
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST_VERSION:
            oldest = ".".join(map(str, OLDEST_VERSION))
            raise self.unusable(f"Redis {oldest} or newer, or Valkey", f"version {version}", "upgrade the server")
        if info.get("redis_mode") == "sentinel":
            raise self.unusable("a server that keeps data", "a sentinel", "name the primary that it watches")
        if info.get("loading") == "1":
            raise self.unavailable("a server that is reading its data from the disk")
        if info.get("role", "master") != "master":
            raise self.unavailable("a replica, which can only be read", "name the primary")

    def _learn(self, sent: int, told: Sequence[Any], received: int) -> None:
        """The server answered its time, in seconds and microseconds, to what was sent then."""
        if self._clock is not None:
            seconds, micros = told
            self._clock.learn(sent, int(seconds) * 1_000_000 + int(micros), received)

    def _give_back(self, session: Session) -> None:
        if session.age == self._closed:
            session.used_at = time.monotonic()
            self._idle.append(session)
            self._places.release()
        else:
            self._drop(session)

    def _drop(self, session: Session) -> None:
        try:
            session.connection.disconnect()
        finally:
            self._places.release()

    # faults

    @contextmanager
    def faults_told(self) -> Iterator[None]:
        """Whatever the driver raises becomes a StoreError that says where, what, and what to do."""
        try:
            yield
        except ResponseError as error:
            raise self._told(error) from (error if type(error) is ResponseError else None)
        except (RedisError, OSError) as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> StoreError:
        fault = " ".join(str(error).split())[:500] or type(error).__name__
        match error:
            case AuthenticationError() | AuthorizationError():
                return self.unusable("a server that lets us in", fault, "check user and password")
            case NoPermissionError():
                return self.unusable("the right to use our keys", fault, "see docs/stores.md for the rights needed")
            case MovedError() | AskError():
                return self.unusable("the node of the cluster that has our keys", fault, "name that one in the URL")
            case ReadOnlyError():
                return self.unavailable("a replica, which can only be read", "name the primary")
            case OutOfMemoryError():
                return self.unavailable(
                    "a server whose memory is full", "raise its maxmemory, or let `keep` keep less of the ledger"
                )
        if "DB index is out of range" in fault or "invalid DB index" in fault or "SELECT is not allowed" in fault:
            return self.unusable("a database that there is", fault, "write a lower number, such as /0, behind the host")
        if "NOAUTH" in fault or "WRONGPASS" in fault or "invalid username-password pair" in fault:
            return self.unusable("a server that lets us in", fault, "check user and password")
        if fault.startswith(ELSEWHERE) and (move := read_move(str(error).partition(" ")[2])) is not None:
            return refusal(self.address.location, move)
        if fault.startswith("WRONGTYPE"):
            return self.unusable(
                f"keys of ours behind {self.address.prefix}", fault, "write another ?prefix= for this app"
            )
        return self.unavailable(fault)

    def unavailable(
        self, fault: str, advice: str = "it works again as soon as the server does"
    ) -> StoreUnavailableError:  # fmt: skip
        return StoreUnavailableError(f"expected to read and write {self.address.location}, got {fault}: {advice}")

    def unusable(self, expected: str, got: str, advice: str) -> StoreUnusableError:
        return StoreUnusableError(f"{self.address.location}: expected {expected}, got {got}: {advice}")


def check_schema(found: bytes | None, location: str) -> None:
    """StoreSchemaError if what lies there was written by a newer version."""
    if found is not None and (not found.isdigit() or int(found) > SCHEMA):
        version = shown(found.decode("utf-8", "replace"))
        raise StoreSchemaError(
            f"expected keys of version {SCHEMA} or older in {location}, got version {version}: "
            f"a newer tickwork wrote them; install that version here too"
        )


def read_info(session: Session) -> dict[str, str]:
    """What the server says of itself."""
    lines = session.command("INFO").decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _fsync(session: Session) -> str | None:
    """How often the server waits for its disk. None: it does not say, as servers of cloud providers do not."""
    try:
        found = session.command("CONFIG", "GET", "appendfsync")
    except ResponseError:
        return None
    return found[1].decode() if found else None


def weaknesses(info: Mapping[str, str], fsync: str | None) -> list[str]:
    """By what a server could lose what it has confirmed, each with what to do about it."""
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):  # the others evict only what expires, and nothing of ours does
        found.append(
            f"expected a server that keeps all keys, got maxmemory-policy {policy}: jobs and runs vanish when its "
            f"memory is full; set maxmemory-policy noeviction"
        )
    if info.get("aof_enabled") == "0":
        found.append(
            "expected a server that writes each change to its disk, got appendonly no: after a crash fire times may "
            "run twice or be forgotten; set appendonly yes"
        )
    elif fsync == "no":
        found.append(
            "expected a server that waits for its disk, got appendfsync no: a crash may lose half a minute, and fire "
            "times run twice; set appendfsync everysec or always"
        )
    return found
