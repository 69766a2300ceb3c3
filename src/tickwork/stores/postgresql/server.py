"""The server as this process sees it: a few connections, transactions on them, and what its faults mean.

The rule: a fault closes the connection it happened on, and the next call opens another. So whatever was wrong (a
restart, a cut, a lock) is over as soon as it is over.
"""

from __future__ import annotations

import math
import selectors
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString, NamedTuple, TypeAlias, TypeVar

import psycopg
from psycopg import Pipeline, RawCursor
from psycopg.abc import PipelineCommand
from psycopg.pq import TransactionStatus

from tickwork.errors import SchedulerError, StoreError, StoreUnavailableError, StoreUnusableError
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.address import Address
from tickwork.stores.postgresql.lent import LentConnection, refused
from tickwork.stores.server_clock import ServerClock, read_own

Row: TypeAlias = tuple[Any, ...]
AnyConnection = TypeVar("AnyConnection", bound="psycopg.Connection[Any]")

MARK = "tickwork.lent"
"""A setting that ends with the transaction it was made in: so whoever misses it knows that it has ended."""
MAX_SESSIONS = 5
"""How many connections one store has at most, besides that of its doorbell."""
PATIENCE = 10.0
"""Seconds to wait for one of them."""
A_MOMENT = 0.1
OLDEST_VERSION = 130000
SETTINGS = {
    "statement_timeout": "10s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "10s",
    "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off",
    "default_transaction_isolation": "read committed",
}  # fmt: skip
"""Nothing waits for ever, and nobody for us; and no plan depends on what the planner believes (statements.py)."""
PASSING = ("08", "40", "53", "55", "57")
"""The classes of PostgreSQL's error codes for faults that pass: connections, conflicts, shortages, locks, shutdowns."""
EXPECTED = (*PASSING, "28", "3D", "42501")
"""Those, and wrong passwords, names of databases and rights: what is told says all, without the driver's own stack."""
LASTING = (
    "password", "no pg_hba.conf entry", "does not exist", "permission denied", "not permitted", "certificate",
    "SSL negotiation", "SSL was required", "authentication", "service name",
)  # fmt: skip
"""Words of a failed connection that show that it will fail again."""
SHORTAGES = {
    "No space left": "give its disk room",
    "too many c": "raise its limit, or let others have fewer: a node needs up to six",
    "connection slots": "raise max_connections, or let others have fewer: a node needs up to six",
}
"""Words of what a server has run out of, and what to do: a failed connection has no code."""


class Glance(NamedTuple):
    """What comes due first, of each kind, in one look; instants in microseconds. None: nothing does."""

    fire_at: Mapping[str, int | None]
    """By executor."""
    claim_at: int | None
    lapse_at: int | None
    cancelling: Collection[str]
    """The nodes that have to end a run."""
    expire_at: int | None
    expect_by: int | None
    overdue: bool
    """Whether a job is overdue."""
    backfilling: bool
    """Whether a backfill goes on."""
    moving: bool
    """Whether anything is noted of a move."""


@dataclass(slots=True)
class Together:
    """A transaction that one thread shares among all that it writes; begun by the first that writes."""

    session: Session | None = None
    begun: bool = False
    glance: Glance | None = None
    """What was seen since the last write."""
    lent: bool = False
    """Whether it is a job's, which has the connection and may have ended the transaction."""
    is_round: bool = False
    """Whether it is a node's, which tries it again if it fails."""


class OfThisThread(threading.local):
    together: Together | None = None
    glance: Glance | None = None
    """What the last `together` saw, if it wrote nothing and nothing was asked since."""


class Asking(deque[PipelineCommand]):
    """The commands of a pipeline, of which the last that is sent asks for the answers, in one piece with it.

    For who has not asked a server keeps none of its limits (SETTINGS) while it waits for more: all that a node has
    locked that stands still would stay so. The driver's own `sync` asks as well, and then waits for the answers.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pgconn, self._answers = pipeline.pgconn, pipeline.result_queue

    def popleft(self) -> PipelineCommand:
        command = super().popleft()
        return command if self else partial(self._ask_behind, command)

    def _ask_behind(self, command: PipelineCommand) -> None:
        command()
        self._answers.append(None)
        self._pgconn.pipeline_sync()


class Session:
    """One connection, and what it was told to be."""

    def __init__(self, connection: psycopg.Connection, begin: str, age: int, *, pipelines: bool) -> None:
        self.connection = connection
        self._pipelines = pipelines and Pipeline.is_supported()
        """Whether several statements are sent in one trip, which takes a libpq of PostgreSQL 14 or newer."""
        self.age = age
        """How often the server had been closed when it was made: what is older is not kept."""
        self.used_at = -math.inf
        """When it was given back, on the monotonic clock."""
        self._cursor = RawCursor(connection)
        self._begin = begin.encode()
        self._begins = False
        """Whether the next statement is the first of a transaction."""

    def execute(self, statement: str, *parameters: object) -> int:
        """How many rows it changed."""
        return self._answered(statement, parameters or None).rowcount

    def select(self, statement: str, *parameters: object) -> list[Row]:
        return self._answered(statement, parameters).fetchall()

    def select_one(self, statement: str, *parameters: object) -> Row | None:
        return self._answered(statement, parameters).fetchone()

    def select_each(self, statement: str, many: Iterable[Sequence[object]]) -> list[Row]:
        """The one row for each of *many* parameters: while the server works at the first the next are made."""
        if not self._pipelines:
            return [self._cursor.execute(statement.encode(), each, binary=True).fetchall()[0] for each in many]
        cursors = []
        with self._one_trip():
            for each in many:
                cursors.append(RawCursor(self.connection))
                cursors[-1].execute(statement.encode(), each, binary=True)
        return [cursor.fetchall()[0] for cursor in cursors]

    def _answered(self, statement: str, parameters: Sequence[object] | None) -> RawCursor[Row]:
        if not self._begins:
            return self._cursor.execute(statement.encode(), parameters, binary=True)
        with self._one_trip():
            self._cursor.execute(statement.encode(), parameters, binary=True)
        return self._cursor

    @contextmanager
    def _one_trip(self) -> Iterator[None]:
        """What is executed inside is sent as it comes, behind the begin of the transaction, and answered at the end."""
        handled, failed = sys.exception(), None
        try:
            with self.connection.pipeline() as pipeline:
                try:
                    if self._begins:
                        self._begins = False
                        self.connection.execute(self._begin)
                    pipeline.command_queue = Asking(pipeline)
                    yield
                except psycopg.Error as error:
                    failed = error  # raised behind the pipeline, or the driver would log what follows from it
        except psycopg.Error as error:
            struck = error.__context__
            if failed is None and not (struck is None or struck is handled or isinstance(struck, psycopg.Error)):
                raise struck from None  # by a signal; the driver tells only that it cannot leave the pipeline then
            failed = failed or error
        if failed is not None:
            raise failed

    def run_script(self, script: str) -> None:
        """Several statements, without parameters."""
        self._begin_now()
        self.connection.execute(script.encode(), prepare=False)

    def begin(self) -> None:
        self.connection.execute(self._begin)

    def begin_with_next(self) -> None:
        """Let the next statement begin a transaction, in one trip: who waits for an answer stands behind all threads
        that have something to do meanwhile.
        """
        if self._pipelines:
            self._begins = True
        else:
            self.begin()

    def _begin_now(self) -> None:
        if self._begins:
            self._begins = False
            self.begin()

    def commit(self) -> None:
        """A transaction in which a statement failed would be undone by it, and nobody told."""
        if self._begins:
            self._begins = False
            return
        if self.connection.pgconn.transaction_status == TransactionStatus.INERROR:
            raise psycopg.errors.InFailedSqlTransaction("a statement of the transaction failed before")
        self.connection.execute("commit")

    def roll_back(self) -> None:
        self._begins = False
        self._undo("rollback")

    @contextmanager
    def part(self) -> Iterator[None]:
        """A stretch of a transaction that is undone alone if anything is raised in it."""
        self._begin_now()
        self.connection.execute("savepoint part")
        try:
            yield
        except BaseException:
            self._undo("rollback to savepoint part", "release savepoint part")
            raise
        self.connection.execute("release savepoint part")

    def _undo(self, *statements: LiteralString) -> None:
        if self.connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
            return  # something struck while it waited for an answer: it will be closed, which undoes all
        with suppress(psycopg.Error):  # a lost connection undoes it, too
            for statement in statements:
                self.connection.execute(statement)

    @property
    def idle(self) -> bool:
        """Whether it can be used, as far as this side knows."""
        return not self.connection.closed and self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    def is_usable(self, *, in_a_round: bool) -> bool:
        """Whether it can be used, and the server has not said good-bye on it.

        A round, which is tried again if it fails, does not look for that a moment after it was used last: whoever looks
        lets all other threads go first.
        """
        if not self.idle:
            return False
        if in_a_round and time.monotonic() - self.used_at < A_MOMENT:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection.fileno(), selectors.EVENT_READ)
            return not selector.select(0)


class Server:
    """A PostgreSQL server at *address*. Safe to use from several threads."""

    def __init__(self, address: Address, clock: ServerClock | None) -> None:
        self.address = address
        self._pooled = address.pooler
        self.schema = address.schema
        self._clock = clock
        self._idle: list[Session] = []
        self._closed = 0
        self._places = threading.BoundedSemaphore(MAX_SESSIONS)
        self.of_this_thread = OfThisThread()

    @property
    def pooled(self) -> bool:
        """Whether a pooler is in the way that lends a connection for a transaction; the first connection shows it.

        Raises StoreError.
        """
        if self._pooled is None:
            with self._borrowed():
                pass
        return bool(self._pooled)

    # transactions

    @contextmanager
    def writing(self, *, in_parts: bool = False) -> Iterator[Session]:
        """A transaction, committed at the end or undone. Raises StoreError.

        Inside of `together` a part of that one, which is undone alone if it raises; as are those that say so with
        *in_parts*, since the others write all that they write in one statement, or at their very end.
        """
        together = self.of_this_thread.together
        if together is None:
            with self.together() as together:
                yield self._begun(together)
            return
        together.glance = None
        with self._faults_told():
            session = self._begun(together)
            with session.part() if in_parts else nullcontext():
                yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A connection to read from, each statement by itself; inside of `together` it sees what was written there."""
        together = self.of_this_thread.together
        if self.pooled:  # only a transaction has our settings
            with self.writing() as session:
                yield session
        elif together is not None:
            with self._faults_told():
                yield self._session_of(together)
        else:
            with self._borrowed() as session:
                yield session

    @contextmanager
    def together(self, *, is_round: bool = False) -> Iterator[Together]:
        """All that this thread writes inside is one transaction, which its first `writing` begins."""
        assert self.of_this_thread.together is None, "together is not nested"
        self.of_this_thread.together = together = Together(is_round=is_round)
        self.of_this_thread.glance = None
        try:
            with self._faults_told():
                yield together
                if together.begun:
                    assert together.session is not None
                    together.session.commit()
                    together.begun = False
                else:
                    self.of_this_thread.glance = together.glance
        finally:
            self.of_this_thread.together = None
            if together.session is not None:
                if together.begun:
                    together.session.roll_back()
                self._give_back(together.session)

    @contextmanager
    def writing_on(self, session: Session) -> Iterator[Session]:
        """A transaction on a session that the caller holds from `reading`: committed at the end, or undone."""
        with self._faults_told():
            session.begin()
            try:
                yield session
                session.commit()
            except BaseException:
                session.roll_back()
                raise

    def is_together(self) -> bool:
        """Whether this thread is inside of `together`; a job that was lent a transaction is not."""
        together = self.of_this_thread.together
        return together is not None and not together.lent

    def _session_of(self, together: Together) -> Session:
        together.session = together.session or self._borrow(in_a_round=together.is_round)
        return together.session

    @contextmanager
    def lend(self) -> Iterator[psycopg.Connection]:
        """A transaction for a stranger, on a connection of its own: committed at the end, or undone.

        All that this thread writes and reads inside is part of it. Raises StoreError for what fails before and after;
        what fails inside is passed on.
        """
        if self.of_this_thread.together is not None:
            raise SchedulerError("run.transaction(): expected one at a time, got one inside of another")
        connection = self._connect(LentConnection)
        try:
            with self._faults_told():
                connection.prepare_threshold = None if self.pooled else 5
                # One by one, by the cursor that is made here: those made later read as the job tells its connection to.
                session = Session(connection, self._begin_lent(), self._closed, pipelines=False)
                session.begin()
            self.of_this_thread.together = together = Together(session, begun=True, lent=True)
            connection.lend()
            yield connection
            with self._faults_told():
                self._begun(together).commit()
        finally:
            self.of_this_thread.together = None
            connection.take_back()
            connection.close()  # which undoes what was not committed

    def _begin_lent(self) -> str:
        """With the server's own settings, since the statements are the user's; and the user's tables behind ours."""
        assert self.schema is not None
        path = (
            f"set_config('search_path', {literal(quoted(self.schema))} || ', ' || current_setting('search_path'), true)"
        )
        return f"begin isolation level read committed read write; set local {MARK} = 'on'; select {path}"

    def _begun(self, together: Together) -> Session:
        session = self._session_of(together)
        if together.lent and session.select_one(sql.IS_LENT, MARK) != ("on",):
            raise refused("the end of its transaction: what was written before it may be committed")
        if not together.begun:
            session.begin_with_next()
            together.begun = True
        return session

    # connections

    def connect(self) -> psycopg.Connection:
        """A new connection, for whoever will close it. Raises StoreUnavailableError, StoreUnusableError."""
        return self._connect(psycopg.Connection)

    def _connect(self, kind: type[AnyConnection]) -> AnyConnection:
        with self._faults_told():
            return kind.connect(**self.address.parameters, autocommit=True)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close what lies idle; what is in use is closed by the thread that gives it back."""
        self._closed += 1
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                self._idle.pop().connection.close()

    @contextmanager
    def _borrowed(self) -> Iterator[Session]:
        with self._faults_told():
            session = self._borrow()
            try:
                yield session
            finally:
                self._give_back(session)

    def _borrow(self, *, in_a_round: bool = False) -> Session:
        """An idle connection, the one used last, or a new one."""
        if not self._places.acquire(timeout=PATIENCE):
            raise self._unavailable(f"no free connection of {MAX_SESSIONS} within {PATIENCE:.0f} s")
        try:
            while self._idle:
                with suppress(IndexError):
                    session = self._idle.pop()
                    if session.is_usable(in_a_round=in_a_round):
                        return session
                    session.connection.close()
            return self._new_session()
        except BaseException:
            self._places.release()
            raise

    def _give_back(self, session: Session) -> None:
        try:
            if session.idle and session.age == self._closed:
                session.used_at = time.monotonic()
                self._idle.append(session)
            else:
                session.connection.close()
        finally:
            self._places.release()

    def _new_session(self) -> Session:
        connection = self.connect()
        try:
            self._look_around(connection)
            settings = SETTINGS | ({} if self.schema is None else {"search_path": f"{quoted(self.schema)}, pg_temp"})
            connection.prepare_threshold = None if self._pooled else 0
            connection.prepared_max = 500
            session = Session(
                connection, begin_with(settings if self._pooled else {}), self._closed, pipelines=not self._pooled
            )  # fmt: skip
            if not self._pooled:
                session.select(sql.SET_ALL, [*settings], [*settings.values()])
            self._learn_time(session)
        except BaseException:
            connection.close()
            raise
        return session

    def _look_around(self, connection: psycopg.Connection) -> None:
        """Whether this is a server that can be used, and whether a pooler is in the way."""
        found = connection.execute(
            "select current_setting('server_version_num')::int, current_setting('server_encoding'),"
            " pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool, pg_backend_pid(),"
            " current_schema(),"
            " (select pg_catalog.has_schema_privilege(oid, 'usage') from pg_catalog.pg_namespace where nspname = %s)",
            [self.schema], prepare=False,
        ).fetchone()  # fmt: skip
        assert found is not None
        version, encoding, read_only, process, schema, usable = found
        if version < OLDEST_VERSION:
            raise self._unusable("PostgreSQL 13 or newer", f"version {version // 10000}", "upgrade the server")
        if encoding != "UTF8":
            raise self._unusable(
                "a database of the encoding UTF8",
                encoding,
                "create one with: create database ... encoding 'UTF8' template template0",
            )
        if usable is False:  # its tables are passed over, as if there were none
            raise self._unusable(
                f"the right to use the schema {quoted(self.schema or '')}", "no right", f"grant usage on schema "
                f"{quoted(self.schema or '')}, and on its tables the rights of docs/stores.md"
            )  # fmt: skip
        if read_only:
            raise self._unavailable("a server that can only be read, such as a standby: name the primary")
        if self._pooled is None:
            # What a pooler tells its client when it connects is not the number of the process that answers.
            self._pooled = connection.info.backend_pid != process
        if self.schema is None:
            if schema is None:
                raise self._unusable("a schema for the tables", "an empty search path", "write ?schema=tickwork")
            self.schema = schema

    def _learn_time(self, session: Session) -> None:
        for _ in range(3):  # the first one is also the first of its kind on this connection
            self.learn_from(session, sql.NOW)

    def learn_from(self, session: Session, statement: str, *parameters: object) -> Row:
        """The row of a statement that ends with the server's time, from which our clock learns."""
        sent = read_own()
        row = session.select_one(statement, *parameters)
        received = read_own()
        assert row is not None
        if self._clock is not None:
            self._clock.learn(sent, row[-1], received)
        return row

    # faults

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        """Whatever the driver raises becomes a StoreError that says where, what, and what to do."""
        try:
            yield
        except psycopg.Error as error:
            told = self._told(error)
            raise told from (None if error.sqlstate is None or error.sqlstate.startswith(EXPECTED) else error)

    def _told(self, error: psycopg.Error) -> StoreError:
        fault = " ".join(str(error.diag.message_primary or error).split())[:500]
        if error.sqlstate is None and any(word in fault for word in LASTING):
            return self._unusable(
                "a server that lets us in", fault, "check user, password, database, sslmode and pg_hba.conf"
            )
        if error.sqlstate == "42501":
            return self._unusable(
                "the right to use the tables", fault, "see docs/stores.md for the rights that are needed"
            )
        if error.sqlstate is None or error.sqlstate.startswith(PASSING):
            return self._unavailable(fault)
        return self._unavailable(f"{type(error).__name__}: {fault}")

    def _unavailable(self, fault: str) -> StoreUnavailableError:
        advice = (todo for words, todo in SHORTAGES.items() if words in fault)
        return StoreUnavailableError(
            f"expected to read and write {self.address.location}, got {fault}: "
            f"{next(advice, 'it works again as soon as the server does')}"
        )

    def _unusable(self, expected: str, got: str, advice: str) -> StoreUnusableError:
        return StoreUnusableError(f"{self.address.location}: expected {expected}, got {got}: {advice}")


def begin_with(settings: dict[str, str]) -> str:
    """The begin of a transaction; behind a pooler, with settings that end with it, since the connection is not ours."""
    told = "".join(
        f"; set local {name} = {value if name == 'search_path' else literal(value)}" for name, value in settings.items()
    )
    return f"begin isolation level read committed read write{told}"


def quoted(name: str) -> str:
    """A name as it stands in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
