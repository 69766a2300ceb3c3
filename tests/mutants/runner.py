"""Runs the tests of a store against its mutants, each in a forked child, and tells which test fails first.

The rule: the laws come first, the fast ones before the slow, then random lives beside memory, then what the store has for
tests of its own, then what moves between stores, and last the plans of its statements. A mutant that only a plan tells from
the original decides nothing.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import psycopg  # noqa: F401  (imported once, before the children are forked)
import pytest
import redis  # noqa: F401
from tests.mutants.stores import Planted, watch
from tests.servers import PostgreSQLServer, RedisServer

import tickwork.stores.postgresql
import tickwork.stores.redis
import tickwork.stores.sqlite  # noqa: F401

LANES = 2
"""How many children there are at once."""
PATIENCE = 150.0
"""Seconds until a mutant hangs."""
HANGS = "it hangs"
OPTIONS = ("-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")


class Verdict(NamedTuple):
    planted: Planted
    killer: str | None
    """The test that fails; or HANGS. None: it survives."""
    why: str = ""
    """The last line of its failure."""

    @property
    def is_broken(self) -> bool:
        """Whether it cannot even be read: then not the test is to be praised, but the mutant to be mended."""
        return any(
            word in self.why for word in ("syntax error", "Error compiling", "incomplete input", "cannot be tried")
        )


class Lesson(NamedTuple):
    """What one test does with the original."""

    test: str
    seconds: float
    used: Sequence[str]


def files_of(store: str) -> list[str]:
    """Where the tests of a store stand: in the order in which they judge."""
    own = sorted(str(path) for path in Path("tests/stores", store).glob("test_*.py"))
    plans = f"tests/stores/{store}/test_statements.py"
    slow = {f"tests/stores/{name}/test_server.py" for name in ("redis", "postgresql")}
    first = [f"tests/stores/test_{store}.py", f"tests/stores/test_machine.py::test_{store}_lives_as_memory_does"]
    return [
        *first,
        *(path for path in own if path != plans and path not in slow),
        "tests/test_mover.py",
        *(path for path in own if path == plans),
    ]


def learn(store: str, judges: Sequence[str]) -> list[Lesson]:
    """What each of these tests of a store uses, in the order in which they judge: as *judges*, and the fast ones first."""
    with _place_of(store), TemporaryDirectory() as folder:
        answer = Path(folder, "lessons")
        pid = _fork(lambda: _learn(store, judges, answer))
        os.waitpid(pid, 0)
        lessons = [Lesson(*one) for one in json.loads(answer.read_text())]

    def rank(lesson: Lesson) -> tuple[int, float]:
        return next(place for place, judge in enumerate(judges) if lesson.test.startswith(judge)), lesson.seconds

    return sorted(lessons, key=rank)


def tests_for(planted: Planted, lessons: Sequence[Lesson], killer: str | None) -> Sequence[str]:
    """The test that killed it last time, and those that use what it changes."""
    everywhere = planted.place == "shared" or planted.place.endswith(".sql")
    tests = [lesson.test for lesson in lessons if planted.place in lesson.used or (everywhere and lesson.used)]
    tests = tests or [lesson.test for lesson in lessons]
    return [killer, *tests] if killer in tests else tests


def judge(store: str, mutants: Sequence[Planted], tests_for: Callable[[Planted], Sequence[str]]) -> Iterator[Verdict]:
    """What becomes of each mutant; LANES of them at a time, so in no order."""
    if not mutants:
        return
    waiting: Iterator[Planted] = iter(mutants)
    _warm_up(store)
    with ExitStack() as stack, TemporaryDirectory() as folder:
        places = [stack.enter_context(_place_of(store)) for _ in range(LANES)]
        going: dict[int, tuple[int, Planted, Path, float]] = {}
        free = [*range(LANES)]
        tried: set[str] = set()
        while True:
            while free and (planted := next(waiting, None)) is not None:
                lane = free.pop()
                answer = Path(folder, f"answer-{lane}")
                answer.unlink(missing_ok=True)
                tests = tests_for(planted)
                pid = _fork(
                    lambda place=places[lane], planted=planted, answer=answer, tests=tests: _try(
                        place, planted, answer, tests
                    )
                )  # type: ignore[misc]
                going[pid] = lane, planted, answer, time.monotonic()
            if not going:
                return
            for pid in _ended(going):
                lane, planted, answer, _ = going.pop(pid)
                free.append(lane)
                if answer.exists():
                    verdict = Verdict(planted, *json.loads(answer.read_text()))
                    if verdict.killer is None or verdict.is_broken or _passes(places[lane], verdict.killer, answer):
                        yield verdict
                    elif planted.sign in tried:
                        yield Verdict(planted, None)
                    else:  # the machine is too busy, or the server ill: that says nothing of the mutant
                        places[lane].restart()
                        tried.add(planted.sign)
                        waiting = chain([planted], waiting)
                else:  # it may have taken its server along
                    places[lane].restart()
                    yield Verdict(planted, HANGS)


class Place:
    """Where a lane has its stores: a server, if they need one."""

    def __init__(self, store: str) -> None:
        self.store = store
        self._server: PostgreSQLServer | RedisServer | None = None

    def __enter__(self) -> Self:
        if self.store != "sqlite":
            self._server = PostgreSQLServer() if self.store == "postgresql" else RedisServer()
            self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.__exit__()

    def restart(self) -> None:
        self.__exit__()
        self.__enter__()

    @property
    def environment(self) -> Mapping[str, str]:
        if self._server is None:
            return {}
        return {f"TICKWORK_TEST_{self.store.upper()}_URL": self._server.url()}


def _place_of(store: str) -> AbstractContextManager[Place]:
    return Place(store)


def _ended(going: Mapping[int, tuple[int, Planted, Path, float]]) -> list[int]:
    """Children that have ended, or are ended since they hang."""
    while True:
        for pid, (_, _, _, begun) in going.items():
            if time.monotonic() - begun > PATIENCE:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return [pid]
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                return [pid]
        time.sleep(0.01)


def _fork(work: Callable[[], None]) -> int:
    """A child in a process group of its own, which says nothing."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        void = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(void, stream)
        work()
    finally:
        os._exit(0)


def _warm_up(store: str) -> None:
    """Import here, once, what each child would import."""
    with Path(os.devnull).open("w") as void, redirect_stdout(void):
        pytest.main(["--collect-only", "-q", *OPTIONS, *files_of(store)])


def _passes(place: Place, test: str, answer: Path) -> bool:
    """Whether a test that failed beside a mutant passes without it."""
    answer.unlink()
    os.waitpid(_fork(lambda: _try(place, None, answer, [test])), 0)
    return answer.exists() and json.loads(answer.read_text())[0] is None


def _try(place: Place, planted: Planted | None, answer: Path, tests: Sequence[str]) -> None:
    os.environ.update(place.environment)
    if planted is not None:
        planted.plant()
    witness = Witness(place.store)
    _run(tests, witness)
    part = answer.with_suffix(".part")
    part.write_text(json.dumps(witness.first_failure))
    part.rename(answer)


def _learn(store: str, judges: Sequence[str], answer: Path) -> None:
    used: set[str] = set()
    watch(store, used.add)
    witness = Witness(store, used)
    _run(judges, witness, stop=False)
    answer.write_text(json.dumps(witness.lessons))


def _run(tests: Sequence[str], witness: Witness, *, stop: bool = True) -> None:
    ended = pytest.main([*OPTIONS, *(["-x"] if stop else []), *tests], plugins=[witness])
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        witness.first_failure = "pytest", f"cannot be tried: pytest ended with {ended}"


class Witness:
    """Sees which tests fail, and what they use."""

    def __init__(self, store: str, used: set[str] | None = None) -> None:
        self._other_servers = {"postgresql", "redis"} - {store}
        self.first_failure: tuple[str | None, str] = None, ""
        self.lessons: list[tuple[str, float, list[str]]] = []
        self._used = used

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what is about a store that needs a server of another kind."""
        items[:] = [item for item in items if not any(name in item.name for name in self._other_servers)]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and self.first_failure[0] is None:
            self.first_failure = report.nodeid, report.longreprtext[-2_000:]
        if report.when == "call" and self._used is not None and report.passed:
            self.lessons.append((report.nodeid, report.duration, sorted(self._used)))
        if report.when == "teardown" and self._used is not None:
            self._used.clear()
