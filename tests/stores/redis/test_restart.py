"""A server that comes back without what it had confirmed: the nodes say again what they know, before anyone fires."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.samples import HOUR, MINUTE, NOW, SECOND, held_run, make_hold, make_job, make_node, make_run, next_version
from tests.servers import RedisServer
from tests.stores.laws import claimed, closed, fire

from tickwork.job import Job
from tickwork.plan import settle
from tickwork.policies import Retry
from tickwork.run import Failed, Origin, Released, RunState, Succeeded
from tickwork.stores.redis import RedisStore
from tickwork.stores.redis import journal as journal_of
from tickwork.stores.redis.journal import Journal
from tickwork.testing import VirtualClock

QUIET = timedelta(seconds=2)
LONGEST = timedelta(seconds=15)


class ForgetfulServer(RedisServer):
    """Keeps what it had when it was told to, as one does that syncs its disk once in a while."""

    def __init__(self) -> None:
        super().__init__({"save": "", "appendonly": "no"})

    def remember(self, store: RedisStore) -> None:
        store._command("SAVE")

    def lose_the_rest(self) -> None:
        self.kill()
        self.start()


@pytest.fixture
def server() -> Iterator[ForgetfulServer]:
    with ForgetfulServer() as server:
        yield server


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def stores(server: ForgetfulServer, clock: VirtualClock) -> Iterator[tuple[RedisStore, RedisStore]]:
    """Those of two nodes, a and b, which are alive."""
    stores = RedisStore(server.url(), clock=clock), RedisStore(server.url(), clock=clock)
    for name, store in zip("ab", stores, strict=True):
        store.open()
        store.cancelling(name)
        store.beat(make_node(name))
    yield stores
    for store in stores:
        store.close()


def test_a_fire_time_that_the_server_forgot_is_not_fired_again(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    a.add([job := make_job()])
    server.remember(a)
    ((fired, (run,), _),) = fire(a, hold=make_hold("a"))
    server.lose_the_rest()

    while_a_is_away = fire(b, hold=make_hold("b"))
    known = a.get(job.id)
    clock.advance(QUIET)
    afterwards = fire(b, hold=make_hold("b"))

    assert while_a_is_away == afterwards == []
    assert known == b.get(job.id) == fired
    assert b.runs() == [run]
    assert [one.job.id for one in fire(b, until=NOW + MINUTE)] == [job.id], "it goes on"


def test_nothing_is_fired_claimed_or_lost_until_all_living_nodes_have_come(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    job = make_job(max_instances=3)
    a.add([job])
    a.save([next_version(job, make_run(job, NOW - HOUR), held_run(job, NOW - MINUTE, lease_until=NOW))])
    server.remember(a)
    server.lose_the_rest()

    def found() -> tuple[int, int, int]:
        return len(b.lost(9)), len(claimed(b, node="b")), len(fire(b))

    early = found()
    clock.advance(QUIET + SECOND)
    without_a = found()
    a.jobs()
    with_a = found()

    assert early == without_a == (0, 0, 0)
    assert with_a == (1, 1, 1)


def test_a_node_that_died_with_the_server_is_waited_for_until_its_lease_ends(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    _, b = stores
    b.add([make_job()])
    server.remember(b)
    server.lose_the_rest()

    seen = []
    for _ in range(12):
        seen.append(len(fire(b, hold=make_hold("b"))))
        clock.advance(SECOND)
        b.beat(make_node("b", seen_at=clock.now()))

    assert seen == [0] * 10 + [1, 0]


def test_a_node_that_is_taken_for_alive_and_does_not_come_is_waited_for_so_long_and_no_longer(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    a.beat(make_node("a", lease_until=NOW + HOUR))
    b.add([make_job()])
    server.remember(b)
    server.lose_the_rest()
    b.jobs()

    clock.advance(LONGEST - SECOND)
    early = len(fire(b))
    clock.advance(SECOND)

    assert (early, len(fire(b))) == (0, 1)


def test_a_new_node_is_not_waited_for(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    a.add([make_job()])
    server.remember(a)
    server.lose_the_rest()
    a.jobs(), b.jobs()
    new = RedisStore(server.url(), clock=clock)
    new.open()
    new.beat(make_node("new"))

    clock.advance(QUIET)

    assert len(fire(new)) == 1
    new.close()


def test_what_a_node_wrote_is_there_again_each_at_its_latest_version(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    jobs = [make_job(id, retry=Retry(2)) for id in ("fails", "goes on", "paused", "removed", "waits")]
    a.add(jobs)
    server.remember(a)
    a.add([added := make_job("added", kwargs={"a": 1})])
    a.save([next_version(jobs[2], paused_at=NOW, pause_reason="why")])
    a.save([next_version(jobs[4], asked := make_run(jobs[4], origin=Origin.MANUAL), next_fire_time=None)])
    a.remove(["removed"])
    fired = {change.job.id: change.runs[0] for change in fire(a, hold=make_hold("a"))}
    failed = settle(fired["fails"], Retry(2), Failed("broken"), NOW)
    a.settle([failed])
    (renewed,) = a.renew([fired["goes on"]], NOW + HOUR)
    ((taken,),) = [b.claim(make_hold("b"), executor="threads", limit=1)]
    before = a.jobs(), sorted(run.id for run in a.runs())
    server.lose_the_rest()

    a.open()
    b.jobs()

    assert (a.jobs(), sorted(run.id for run in a.runs())) == before
    assert a.get("added").kwargs == added.kwargs
    assert a.get("paused").pause_reason == "why"
    assert a.run(renewed.id) == renewed
    assert a.run(failed.run.id) == failed.run
    assert a.run(taken.run.id) == taken.run
    assert taken.run.id in (asked.id, failed.attempt.id if failed.attempt else "")
    clock.advance(QUIET)
    won = a.settle([settle(renewed, Retry(2), Succeeded(), NOW)])
    assert [one.run.state for one in won] == [RunState.SUCCEEDED], "and it goes on from there"


def test_a_server_that_forgot_everything_is_told_it_again(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    a.add([job := make_job()])
    ((fired, runs, _),) = fire(b, hold=make_hold("b"))
    server.kill()
    server.forget()
    server.start()

    a.jobs()
    early = fire(a)
    b.jobs()
    clock.advance(QUIET)

    assert early == fire(a) == []
    assert a.get(job.id) == fired
    assert a.runs() == [*runs]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_what_waited_for_a_job_that_was_removed_does_not_wait_again(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, order: str
) -> None:
    a, b = stores
    a.add([job := make_job()])
    server.remember(a)
    ((_, (run,), _),) = fire(b, hold=make_hold("b"))
    a.remove([job.id])
    b.settle([settle(run, job.retry, Released(), NOW)])
    server.lose_the_rest()

    for node in order:
        stores["ab".index(node)].jobs()

    assert a.jobs() == []
    assert [(one.id, one.state) for one in a.runs()] == [(run.id, RunState.CANCELLED)]


def test_a_new_node_that_comes_first_after_a_restart_waits_for_the_others(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    a.add([job := make_job()])
    server.remember(a)
    fire(a, hold=make_hold("a"))
    server.lose_the_rest()
    new = RedisStore(server.url(), clock=clock)
    new.open()
    new.beat(make_node("new"))
    asked: list[Job] = []

    clock.advance(QUIET)
    early = new.fire(lambda jobs, *_: asked.extend(jobs) or [], executor="threads", until=NOW, limit=9)
    a.jobs(), b.jobs()

    assert (early, asked) == ([], [])
    assert fire(new) == []
    assert [change.job.id for change in fire(new, until=NOW + MINUTE)] == [job.id]
    new.close()


def test_what_the_server_still_knows_is_not_written_over_by_what_is_older(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer
) -> None:
    a, b = stores
    a.add([job := make_job(max_instances=9), removed := make_job("removed"), gone := make_job("gone")])
    runs = [held_run(job, NOW + number * MINUTE) for number in range(3)]
    a.save([next_version(job, *runs, kwargs={"old": True}), next_version(removed, goes_on := held_run(removed))])
    b.save([next_version(b.get("job"), kwargs={"new": True})])
    b.renew(runs[:1], NOW + HOUR)
    b.settle([settle(runs[1], job.retry, Succeeded(), NOW)])
    b.remove([removed.id])
    a.save([next_version(gone, closed(gone, -1))])
    a.remove([gone.id])
    before = b.jobs(), b.runs()
    server.remember(b)
    server.lose_the_rest()

    b.jobs()
    a.jobs()

    assert (a.jobs(), a.runs()) == before
    assert a.get("job").kwargs == {"new": True}
    assert a.run(goes_on.id) == goes_on
    assert a.evidence("removed", NOW).removed_at == a.evidence("gone", NOW).removed_at == NOW


def test_a_definition_and_a_version_that_the_server_forgot_are_written_again(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer
) -> None:
    a, b = stores
    a.add([job := make_job(kwargs={"which": "old"}, executor="asyncio"), other := make_job("other")])
    a.save([next_version(other, run := held_run(other))])
    server.remember(a)
    (renewed,) = a.renew([run], NOW + HOUR)
    a.save([next_version(job, kwargs={"which": "new"}, executor="threads")])
    server.lose_the_rest()

    a.jobs()

    assert b.get("job").kwargs == {"which": "new"}
    assert b.outlook(["asyncio"], after=NOW, fire_after=NOW - HOUR).fire_at is None, "it is due there no more"
    assert b.run(renewed.id) == renewed


def test_a_removal_that_the_server_forgot_is_made_again_and_what_runs_goes_on(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer
) -> None:
    a, b = stores
    a.add([job := make_job(max_instances=9)])
    a.save([next_version(job, runs := held_run(job), waits := make_run(job, NOW + MINUTE))])
    server.remember(a)
    a.remove([job.id])
    server.lose_the_rest()

    a.jobs()

    assert b.jobs() == []
    assert b.run(runs.id) == runs
    assert (b.run(waits.id).state, b.run(waits.id).reason) == (RunState.CANCELLED, "its job was removed")
    assert b.evidence("job", NOW).removed_at == NOW


def test_a_job_whose_id_was_given_to_another_meanwhile_does_not_come_back(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer
) -> None:
    a, b = stores
    a.add([make_job(name="first")])
    server.kill()
    server.forget()
    server.start()
    b.add([second := make_job(name="second")])

    a.jobs()

    assert a.jobs() == [second]


def test_of_a_job_whose_definition_nobody_knows_nothing_is_made_up(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer
) -> None:
    a, b = stores
    a.add([make_job()])
    fire(b, hold=make_hold("b"))
    server.kill()
    server.forget()
    server.start()

    b.jobs()
    without_a = b.jobs()
    a.jobs()

    assert without_a == []
    assert [job.id for job in b.jobs()] == ["job"]


def test_who_has_come_is_noted_only_while_others_are_waited_for(
    stores: tuple[RedisStore, RedisStore], server: ForgetfulServer, clock: VirtualClock
) -> None:
    a, b = stores
    a.add([make_job()])
    late = RedisStore(server.url(), clock=clock)
    late.cancelling("late")  # so it has a name when it meets the server
    late.close()

    def noted() -> set[bytes]:
        return {*a._command("SMEMBERS", a._key("asserted"))}

    before = noted()
    server.lose_the_rest()
    a.jobs(), b.jobs()
    meanwhile = noted()
    clock.advance(LONGEST)
    fire(a)
    a.beat(make_node("a", seen_at=clock.now()))

    assert (before, meanwhile, noted()) == (set(), {b"a", b"b"}, set())


def test_a_new_store_begins_at_once(server: ForgetfulServer, clock: VirtualClock) -> None:
    store = RedisStore(server.url(), clock=clock)
    store.open()
    store.add([make_job()])

    assert len(fire(store)) == 1
    store.close()


def test_a_journal_keeps_the_latest_of_each_and_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_of, "MAX_ROWS", 3)
    journal = Journal()
    journal.note(jobs={"too": "old"})
    journal.note(jobs={"1": "[1]"}, definitions={"1": ("job", "{}")}, runs={"1-0-1": "[1]"})
    journal.note(jobs={"1": "[2]"})

    known = journal.read()
    journal.note(removed=["1"])

    assert (known.jobs, known.definitions, known.runs) == ({"1": "[2]"}, {"1": ("job", "{}")}, {"1-0-1": "[1]"})
    assert (journal.read().jobs, journal.read().removed) == ({}, ["1"])
