"""The laws of the cache, which every store keeps; a store joins as it does with `SessionLaws`."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.sessions.laws import MINUTE, Advance, Make

from tickwork.errors import InvalidSessionError
from tickwork.sessions import Sessions

DEADLINE = 20

COMPUTE = """
import os, sys, time
from tickwork.sessions import Sessions
url, name, log = sys.argv[1:]
cache = Sessions(url, name=name).cache
out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
print(flush=True)
sys.stdin.readline()
for number in range(50):
    def compute():
        os.write(out, b"%d\\n" % number)
        time.sleep(0.001)  # as if it were costly: the others are to come meanwhile
        return number * number
    assert cache.get_or_set(f"square/{number}", compute, ttl="5m") == number * number
"""

DIE = """
import os, sys
from tickwork.sessions import Sessions
url, name = sys.argv[1:]
Sessions(url, name=name).cache.get_or_set("key", lambda: os._exit(9), ttl="5m", lease=0.2)
"""


class CacheLaws:
    def test_a_value_is_kept_until_its_time_is_over(self, make: Make, advance: Advance) -> None:
        cache = make().cache
        cache.set("key", {"한": ["글", 1.5, None]}, ttl="5m")

        assert cache.get("key") == {"한": ["글", 1.5, None]}
        advance(6 * MINUTE)
        assert cache.get("key") is None
        assert cache.get("key", "nothing") == "nothing"
        assert cache.delete("key") is False

    def test_none_is_a_value(self, make: Make) -> None:
        cache = make().cache

        assert cache.get_or_set("key", lambda: None, ttl=60) is None
        assert cache.get("key", "nothing") is None
        assert cache.get_or_set("key", lambda: 1, ttl=60) is None

    def test_a_value_is_forgotten(self, make: Make) -> None:
        cache = make().cache
        cache.set("key", 1, ttl=60)

        assert cache.delete("key") is True
        assert cache.delete("key") is False
        assert cache.get("key") is None

    def test_names_keep_caches_apart(self, make: Make) -> None:
        make(name=f"theirs-{secrets.token_hex(8)}").cache.set("key", 1, ttl=60)

        assert make().cache.get("key") is None

    def test_a_value_is_computed_once_and_again_when_its_time_is_over(self, make: Make, advance: Advance) -> None:
        cache, numbers = make().cache, iter(range(9))

        assert [cache.get_or_set("key", lambda: next(numbers), ttl="5m") for _ in range(3)] == [0, 0, 0]
        advance(6 * MINUTE)
        assert cache.get_or_set("key", lambda: next(numbers), ttl="5m") == 1

    def test_who_computes_gets_what_the_others_will_read(self, make: Make) -> None:
        cache = make().cache

        first = cache.get_or_set("key", lambda: {1: (2, 3)}, ttl=60)

        assert first == cache.get("key") == {"1": [2, 3]}

    def test_threads_that_miss_it_together_compute_it_once(self, make: Make) -> None:
        cache, computed = make().cache, []
        together = threading.Barrier(8)

        def ask(_: int) -> Any:
            together.wait(DEADLINE)
            return cache.get_or_set("key", compute, ttl=60)

        def compute() -> int:
            computed.append(1)
            threading.Event().wait(0.05)  # as if it were costly: the others are to come meanwhile
            return 7

        with ThreadPoolExecutor(8) as threads:
            assert [*threads.map(ask, range(8))] == [7] * 8
        assert computed == [1]

    @pytest.mark.processes
    def test_processes_that_miss_it_together_compute_it_once(self, url: str, tmp_path: Path) -> None:
        name, log = secrets.token_hex(8), tmp_path / "computed"
        workers = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", COMPUTE, url, name, log],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        for worker in workers:
            worker.stdout.readline()
        for worker in workers:
            worker.stdin.write(b"\n")
            worker.stdin.close()

        assert [worker.wait(DEADLINE) for worker in workers] == [0, 0, 0, 0]
        for worker in workers:
            worker.stdout.close()
        assert sorted(map(int, log.read_text().split())) == [*range(50)]

    @pytest.mark.processes
    def test_the_death_of_who_computes_holds_nobody_up(self, url: str) -> None:
        name = secrets.token_hex(8)
        died = subprocess.run([sys.executable, "-c", DIE, url, name], check=False, timeout=DEADLINE)
        sessions = Sessions(url, name=name)

        assert died.returncode == 9
        assert sessions.cache.get_or_set("key", lambda: 7, ttl=60) == 7
        assert sessions.cache.get("key") == 7
        sessions.close()

    def test_a_computation_that_outlives_its_lease_keeps_nothing(self, make: Make, advance: Advance) -> None:
        cache = make().cache

        def slow() -> str:
            advance(MINUTE)
            assert cache.get_or_set("key", lambda: "the next one", ttl=600) == "the next one"
            return "too late"

        assert cache.get_or_set("key", slow, ttl=600, lease="30s") == "too late"
        assert cache.get("key") == "the next one"

    def test_nobody_waits_longer_than_a_lease(self, make: Make) -> None:
        cache = make().cache
        others = make()._ready().cache
        assert others.begin("key", "somebody", timedelta(hours=1)) is None

        assert cache.get_or_set("key", lambda: 7, ttl=60, lease=0.05) == 7
        assert cache.get("key") is None

    def test_what_a_computation_raises_is_passed_on_and_the_next_one_computes(self, make: Make) -> None:
        cache = make().cache

        with pytest.raises(ZeroDivisionError):
            cache.get_or_set("key", lambda: 1 / 0, ttl=60)
        with pytest.raises(SystemExit):
            cache.get_or_set("key", sys.exit, ttl=60)

        assert cache.get_or_set("key", lambda: 7, ttl=60) == 7

    @pytest.mark.parametrize("change", ["set", "delete"])
    def test_what_was_changed_while_it_was_computed_does_not_come_back_old(self, make: Make, change: str) -> None:
        cache = make().cache

        def compute() -> str:
            _ = cache.set("key", "new", ttl=60) if change == "set" else cache.delete("key")
            return "old"

        assert cache.get_or_set("key", compute, ttl=60) == "old"
        assert cache.get("key") == ("new" if change == "set" else None)

    @pytest.mark.parametrize("value", [b"binary", "\ud800", float("nan"), {1}, object(), "x" * 2_000_000])
    def test_what_cannot_be_kept_is_refused_and_the_next_one_computes(self, make: Make, value: Any) -> None:
        cache = make().cache

        for verb in (lambda: cache.set("key", value, ttl=60), lambda: cache.get_or_set("key", lambda: value, ttl=60)):
            with pytest.raises(InvalidSessionError, match="expected"):
                verb()

        assert cache.get_or_set("key", lambda: 7, ttl=60) == 7

    @pytest.mark.parametrize(
        "ttl",
        [
            0,
            -1,
            None,
            "",
            "5",
            "5 x",
            "-5m",
            "٣m",
            True,
            float("nan"),
            float("inf"),
            10**400,
            timedelta(0),
            timedelta.max,
        ],
    )
    def test_lengths_that_cannot_be_are_refused_before_anything_is_computed(self, make: Make, ttl: Any) -> None:
        cache = make().cache

        for verb in (
            lambda: cache.set("key", 1, ttl=ttl),
            lambda: cache.get_or_set("key", pytest.fail, ttl=ttl),
            lambda: cache.get_or_set("key", pytest.fail, ttl=60, lease=ttl),
        ):
            with pytest.raises(InvalidSessionError, match="expected seconds, a timedelta or a text"):
                verb()

    @pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "\ud800", None, 7, b"key"])
    def test_keys_that_cannot_be_are_refused(self, make: Make, key: Any) -> None:
        cache = make().cache

        for verb in (
            lambda: cache.get(key),
            lambda: cache.set(key, 1, ttl=60),
            lambda: cache.delete(key),
            lambda: cache.get_or_set(key, pytest.fail, ttl=60),
        ):
            with pytest.raises(InvalidSessionError, match="printable characters"):
                verb()

    def test_an_awaitable_is_no_value_where_nobody_awaits(self, make: Make) -> None:
        cache = make().cache

        async def compute() -> int:
            return 7

        coroutine = compute()
        with pytest.raises(InvalidSessionError, match=r"use cache\.aio"):
            cache.get_or_set("key", lambda: coroutine, ttl=60)
        coroutine.close()

    # awaited

    def test_tasks_that_miss_it_together_compute_it_once(self, make: Make) -> None:
        cache, computed = make().cache.aio, []

        async def compute() -> int:
            computed.append(os.getpid())
            await asyncio.sleep(0.02)
            return 7

        async def ask() -> list[int]:
            return await asyncio.gather(*(cache.get_or_set("key", compute, ttl=60) for _ in range(20)))

        assert asyncio.run(ask()) == [7] * 20
        assert len(computed) == 1

    def test_coroutines_compute_in_the_loop_and_functions_on_a_thread(self, make: Make) -> None:
        cache, here = make().cache.aio, threading.get_ident()

        async def in_loop() -> int:
            return threading.get_ident()

        async def ask() -> list[int]:
            return [
                await cache.get_or_set("a", in_loop, ttl=60),
                await cache.get_or_set("b", lambda: in_loop(), ttl=60),
                await cache.get_or_set("c", threading.get_ident, ttl=60),
            ]

        first, second, third = asyncio.run(ask())

        assert first == second == here != third

    def test_a_task_that_is_cancelled_lets_the_next_one_compute(self, make: Make) -> None:
        cache = make().cache.aio

        async def ask() -> int:
            begun = asyncio.Event()

            async def compute() -> None:
                begun.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(cache.get_or_set("key", compute, ttl=60))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await cache.get_or_set("key", lambda: 7, ttl=60)

        assert asyncio.run(asyncio.wait_for(ask(), DEADLINE)) == 7

    def test_a_task_that_is_cancelled_while_it_asks_leaves_no_lease_behind(self, make: Make) -> None:
        cache = make().cache

        async def ask() -> None:
            for _ in range(20):
                task = asyncio.create_task(cache.aio.get_or_set("key", asyncio.Event().wait, ttl=60))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(ask())

        assert cache.get_or_set("key", lambda: 7, ttl=60, lease="1h") == 7
        assert cache.get("key") == 7
