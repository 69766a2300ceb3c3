"""The await face: the same verbs, awaited; the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path

import pytest

from tickwork.errors import SessionNotFoundError
from tickwork.sessions import Cache, Session, Sessions
from tickwork.sessions.cache import AwaitableCache
from tickwork.sessions.session import AwaitableSession, AwaitableState, State
from tickwork.sessions.sessions import AwaitableSessions


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(f"sqlite:///{tmp_path}/sessions.db")


@pytest.mark.parametrize(
    ("plain", "awaited"),
    [(Sessions, AwaitableSessions), (Session, AwaitableSession), (State, AwaitableState), (Cache, AwaitableCache)],
)
def test_each_verb_can_be_awaited_by_its_name(plain: type, awaited: type) -> None:
    def verbs(face: type) -> dict[str, list[str]]:
        return {
            name: [*inspect.signature(verb).parameters]
            for name, verb in vars(face).items()
            if inspect.isfunction(verb) and not name.startswith("_")
        }

    assert verbs(plain) == verbs(awaited)
    assert all(inspect.iscoroutinefunction(verb) or verb.__name__ for verb in map(vars(awaited).get, verbs(awaited)))


def test_a_session_is_lived_without_blocking(sessions: Sessions) -> None:
    async def live() -> None:
        before = await sessions.aio.create()
        await before.aio.append("user", "hello")
        session = await sessions.aio.log_in("anna", before)
        found = await sessions.aio.get(session.token)
        assert found is not None
        assert [message.content for message in await found.aio.history()] == ["hello"]
        assert await found.aio.state.incr("questions") == 1
        assert await found.aio.state.all() == {"questions": 1}
        await sessions.aio.cache.set("key", 1, ttl="5m")
        assert await sessions.aio.cache.get("key") == 1
        assert await sessions.aio.destroy(session) is True
        with pytest.raises(SessionNotFoundError):
            await found.aio.append("user", "late")
        await sessions.aio.close()

    asyncio.run(live())


def test_the_event_loop_goes_on_while_the_store_is_slow(sessions: Sessions) -> None:
    """Somebody else writes: the verb waits on its thread for the file, and the loop is free to end that."""
    sessions.open()
    written, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with sessions._store._file.writing():
            written.set()
            go_on.wait(20)

    async def create() -> Session:
        creating = asyncio.create_task(sessions.aio.create("anna"))
        await asyncio.sleep(0)
        go_on.set()
        return await creating

    holder = threading.Thread(target=hold)
    holder.start()
    written.wait(20)
    assert asyncio.run(create()).user == "anna"
    holder.join()
