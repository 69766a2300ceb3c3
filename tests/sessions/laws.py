"""The laws of sessions, which every store keeps.

A store joins with a class that inherits `SessionLaws` and three fixtures: `make`, which makes Sessions in one place,
`advance`, which lets time pass there, and `url`, a place on the machine's own clock.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from tickwork.errors import InvalidSessionError, SessionFullError, SessionNotFoundError
from tickwork.sessions import Sessions

Make: TypeAlias = Callable[..., Sessions]
Advance: TypeAlias = Callable[[timedelta], None]
MINUTE = timedelta(minutes=1)


class Unreadable(dict[str, int]):
    """Hostile: it raises what it likes when it is looked at."""

    def __bool__(self) -> bool:
        raise OSError("no disk")

    def __iter__(self) -> Iterator[str]:
        raise OSError("no disk")

    items = keys = __repr__ = __len__ = __iter__  # type: ignore[assignment]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


APPEND = """
import sys
from tickwork.sessions import Sessions
url, name, token, who = sys.argv[1:]
session = Sessions(url, name=name, max_messages=2_000).get(token)
for number in range(250):
    session.append("user", [who, number])
"""


FORK = """
import os, sys
from tickwork.sessions import Sessions
url, name = sys.argv[1:]
sessions = Sessions(url, name=name, max_messages=1_000)
session = sessions.create("anna")
session.append("user", "parent")
children = []
for who in range(3):
    if (child := os.fork()) == 0:
        assert sessions.get(session.token).user == "anna"
        for number in range(100):
            session.append("user", [who, number])
        os._exit(0)
    children.append(child)
for number in range(100):
    session.append("user", ["parent", number])
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
history = session.history()
assert [message.number for message in history] == [*range(1, 402)]
for who in ("parent", 0, 1, 2):
    assert [message.content[1] for message in history[1:] if message.content[0] == who] == [*range(100)]
"""


class SessionLaws:
    @pytest.mark.processes
    def test_both_sides_of_a_fork_go_on(self, url: str) -> None:
        subprocess.run([sys.executable, "-W", "error", "-c", FORK, url, secrets.token_hex(8)], check=True, timeout=60)

    @pytest.mark.processes
    def test_a_thousand_appends_from_four_processes_are_all_kept_in_order(self, url: str) -> None:
        name = secrets.token_hex(8)
        sessions = Sessions(url, name=name, max_messages=2_000)
        session = sessions.create()

        workers = [
            subprocess.Popen([sys.executable, "-W", "error", "-c", APPEND, url, name, session.token, who])
            for who in "abcd"
        ]

        assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0, 0]
        history = session.history()
        assert [message.number for message in history] == [*range(1, 1_001)]
        for who in "abcd":
            assert [message.content[1] for message in history if message.content[0] == who] == [*range(250)]
        sessions.close()

    def test_a_token_opens_its_session_and_nothing_of_it_is_stored(self, make: Make) -> None:
        session = make().create("anna")

        found = make().get(session.token)

        assert found is not None
        assert (found.id, found.user) == (session.id, "anna")
        assert session.token not in repr(found.record)

    @pytest.mark.parametrize(
        "token", [None, "", "x", "A" * 43, "A" * 44, "A" * 1_000_000, "é" * 43, "\ud800" * 43, b"A" * 43, 7]
    )
    def test_a_forged_token_opens_nothing_and_makes_nothing(self, make: Make, token: Any) -> None:
        assert make().get(token) is None
        assert make().count() == 0

    def test_the_id_of_a_session_is_no_token(self, make: Make) -> None:
        assert make().get(make().create().id) is None

    def test_a_token_of_another_name_is_refused(self, make: Make) -> None:
        theirs = f"theirs-{secrets.token_hex(8)}"
        session = make(name=theirs).create()

        assert make().get(session.token) is None
        assert make(name=theirs).get(session.token) is not None

    def test_a_session_ends_when_it_is_not_used(self, make: Make, advance: Advance) -> None:
        sessions = make(idle="30m")
        session = sessions.create("anna")
        session.append("user", "hello")
        session.state.set("step", 1)

        advance(31 * MINUTE)

        assert sessions.get(session.token) is None
        assert sessions.count() == 0
        assert sessions.of_user("anna") == []
        for verb in (
            lambda: session.append("user", "late"),
            session.history,
            session.state.all,
            lambda: session.state.incr("n"),
        ):
            with pytest.raises(SessionNotFoundError):
                verb()
        assert sessions.get(session.token) is None

    def test_use_puts_its_end_off_but_not_beyond_the_absolute_one(self, make: Make, advance: Advance) -> None:
        sessions = make(idle="30m", absolute="2h")
        session = sessions.create("anna")
        session.append("user", "hello")

        for _ in range(5):
            advance(20 * MINUTE)
            found = sessions.get(session.token)
            assert found is not None
            assert [message.content for message in found.history()] == ["hello"]
        advance(21 * MINUTE)

        assert sessions.get(session.token) is None

    def test_login_refuses_the_old_token_and_keeps_what_nobody_had_begun(self, make: Make) -> None:
        sessions = make()
        before = sessions.create()
        before.append("user", "hello")
        before.append("system", "be kind")
        before.state.set("step", 3)

        after = sessions.log_in("anna", before)

        assert sessions.get(before.token) is None
        found = sessions.get(after.token)
        assert found is not None
        assert found.user == "anna"
        assert [message.content for message in found.history()] == ["hello", "be kind"]
        assert found.state.all() == {"step": 3}
        assert [record.id for record in sessions.of_user("anna")] == [after.id]
        with pytest.raises(SessionNotFoundError):
            before.append("user", "with the old token")
        with pytest.raises(SessionNotFoundError):
            sessions.rotate(before)

    def test_login_takes_nothing_over_from_another_user(self, make: Make) -> None:
        sessions = make()
        annas = sessions.log_in("anna")
        annas.append("user", "my secret")

        bobs = sessions.log_in("bob", annas)

        assert bobs.history() == []
        assert sessions.get(annas.token) is None

    def test_rotation_keeps_the_absolute_end(self, make: Make, advance: Advance) -> None:
        sessions = make(idle="2h", absolute="2h")
        session = sessions.create()
        advance(90 * MINUTE)

        rotated = sessions.rotate(session)
        advance(31 * MINUTE)

        assert sessions.get(rotated.token) is None

    def test_one_or_all_sessions_of_a_user_are_destroyed(self, make: Make) -> None:
        sessions = make()
        first, second, third, other = (sessions.create(user) for user in ("anna", "anna", "anna", "bob"))

        assert sessions.destroy(first) is True
        assert sessions.destroy(first) is False
        assert sessions.destroy_user("anna", but=third) == 1
        assert [sessions.get(one.token) is not None for one in (first, second, third, other)] == [
            False,
            False,
            True,
            True,
        ]
        assert sessions.destroy_user("anna") == 1
        assert sessions.count() == 1

    def test_appends_from_threads_are_all_kept_in_the_order_of_their_numbers(self, make: Make) -> None:
        sessions = make(max_messages=1_000)
        session = sessions.create()

        with ThreadPoolExecutor(8) as threads:
            numbers = list(threads.map(lambda n: (session.append("user", n), n), range(200)))

        assert [(message.number, message.content) for message in session.history()] == sorted(numbers)
        assert [number for number, _ in sorted(numbers)] == list(range(1, 201))

    def test_two_hundred_threads_at_once_are_answered(self, make: Make) -> None:
        sessions = make(max_messages=1_000)
        session = sessions.create()
        together = threading.Barrier(200)

        def append(number: int) -> int:
            together.wait(60)
            return session.append("user", number)

        with ThreadPoolExecutor(200) as threads:
            assert sorted(threads.map(append, range(200))) == [*range(1, 201)]

    def test_whole_turns_are_trimmed_and_what_is_pinned_stays(self, make: Make) -> None:
        session = make(max_messages=5).create()
        for role, content in [
            ("system", "s"), ("user", "a"), ("assistant", "b"), ("tool", "c"), ("user", "d"), ("assistant", "e"),
        ]:  # fmt: skip
            session.append(role, content)

        assert [message.content for message in session.history()] == ["s", "d", "e"]
        assert [message.content for message in session.history(last=1)] == ["s", "e"]

    def test_bytes_are_capped(self, make: Make) -> None:
        sessions = make(max_bytes=2_000)
        session = sessions.create()

        for _ in range(50):
            session.append("user", "한" * 100)

        found = sessions.get(session.token)
        assert found is not None
        assert 1_500 < found.record.bytes <= 2_000
        assert found.record.messages == len(session.history())

    def test_a_turn_that_is_too_long_is_an_error_and_nothing_is_lost(self, make: Make) -> None:
        session = make(max_messages=2).create()
        session.append("user", 1)
        session.append("assistant", 2)

        with pytest.raises(SessionFullError, match=r"max_messages.*: raise max_messages"):
            session.append("tool", 3)

        assert [message.content for message in session.history()] == [1, 2]
        assert session.append("user", 4) == 3
        assert [message.content for message in session.history()] == [4]

    def test_pinned_messages_never_push_out_the_last_turn(self, make: Make) -> None:
        session = make(max_messages=2).create()
        session.append("user", 1)
        session.append("system", 2)

        with pytest.raises(SessionFullError):
            session.append("system", 3)

        assert [message.content for message in session.history()] == [1, 2]

    def test_state_is_added_to_by_many_at_once(self, make: Make) -> None:
        session = make().create()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: session.state.incr("n", 2), range(100)))

        assert session.state.get("n") == 200

    @pytest.mark.parametrize("value", ["text", 1.5, True, None, 2**63 - 1, 2**70, [1]])
    def test_what_is_no_integer_is_not_added_to(self, make: Make, value: Any) -> None:
        session = make().create()
        session.state.set("n", value)

        with pytest.raises(InvalidSessionError):
            session.state.incr("n")

        assert session.state.get("n") == value

    def test_keys_of_the_state_are_limited(self, make: Make) -> None:
        session = make(max_keys=2).create()
        session.state.set("a", 1)
        session.state.incr("b")

        for verb in (lambda: session.state.set("c", 1), lambda: session.state.incr("c")):
            with pytest.raises(SessionFullError, match="max_keys"):
                verb()
        session.state.set("a", 2)
        assert session.state.delete("b") is True
        assert session.state.delete("b") is False
        session.state.set("c", {"한": ["글", 1.5, None]})
        assert session.state.all() == {"a": 2, "c": {"한": ["글", 1.5, None]}}

    @pytest.mark.parametrize(
        "content",
        [
            b"binary",
            "\ud800",
            ["\udfff"],
            {"\ud800": 1},
            float("nan"),
            [float("-inf")],
            {1},
            object(),
            {(1, 2): 3},
            Unreadable(a=1),
            pytest.param(10**5000, id="huge"),
            pytest.param("x" * 100_000, id="long"),
            pytest.param(nested(101), id="deep"),
            pytest.param(nested(100_000), id="abyss"),
        ],
    )
    def test_what_cannot_be_kept_is_refused(self, make: Make, content: Any) -> None:
        session = make().create()

        for verb in (lambda: session.append("user", content), lambda: session.state.set("key", content)):
            with pytest.raises(InvalidSessionError, match="expected"):
                verb()

        assert session.history() == []
        assert session.state.all() == {}

    def test_what_is_nested_can_be_read_from_far_up_the_stack(self, make: Make) -> None:
        session = make().create()
        session.append("user", nested(99))

        def read(frames: int) -> Any:
            return read(frames - 1) if frames else session.history()[0].content

        assert read(500) == nested(99)

    def test_looking_on_puts_no_end_off_and_shows_what_is_in_it(self, make: Make, advance: Advance) -> None:
        sessions = make(idle="30m")
        session = sessions.create("anna")
        session.append("user", "hello")
        session.state.set("step", 1)

        for _ in range(2):
            advance(10 * MINUTE)
            found = sessions.find(session.id)
            assert found is not None
            assert (found.user, found.messages) == ("anna", 1)
        content = sessions.content(session.id)
        assert [message.content for message in content.history] == ["hello"]
        assert content.state == {"step": 1}
        advance(11 * MINUTE)

        assert sessions.find(session.id) is None
        with pytest.raises(SessionNotFoundError):
            sessions.content(session.id)

    @pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "\ud800", None, 7])
    def test_names_that_cannot_be_are_refused(self, make: Make, name: Any) -> None:
        sessions = make()
        session = sessions.create()

        for verb in (
            lambda: sessions.log_in(name),
            lambda: session.append(name, 1),
            lambda: session.state.set(name, 1),
        ):
            with pytest.raises(InvalidSessionError):
                verb()

    def test_a_token_where_an_id_belongs_is_refused_and_not_shown(self, make: Make) -> None:
        """It would be ended in vain, and nobody would notice."""
        sessions = make()
        session = sessions.create()

        for verb in (
            sessions.destroy,
            sessions.find,
            sessions.content,
            sessions.rotate,
            lambda it: sessions.log_in("anna", it),
        ):
            with pytest.raises(InvalidSessionError, match="expected") as raised:
                verb(session.token)  # type: ignore[arg-type]
            assert session.token not in str(raised.value)
        with pytest.raises(InvalidSessionError, match="expected a Session"):
            sessions.destroy_user("anna", but=session.token)  # type: ignore[arg-type]
        assert sessions.get(session.token) is not None

    @pytest.mark.parametrize("number", [-1, True, None, "1", 1.0, 10**30])
    def test_pages_that_cannot_be_are_refused(self, make: Make, number: Any) -> None:
        for page in ({"limit": number}, {"offset": number}):
            with pytest.raises(InvalidSessionError, match="expected a whole number"):
                make().records(**page)

    def test_records_are_listed_page_by_page(self, make: Make) -> None:
        sessions = make()
        ids = {sessions.create().id for _ in range(5)}

        pages = [sessions.records(limit=2, offset=offset) for offset in (0, 2, 4, 6)]

        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert {record.id for page in pages for record in page} == ids
