"""What people do meanwhile, through the production verbs: each deed is a thread of the process that was asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.schedules import draw_schedule

from tickwork import plan
from tickwork.errors import ConflictError, TickworkError
from tickwork.job import Job, check_job
from tickwork.policies import ONCE, Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import Run, RunState
from tickwork.scheduler import Scheduler

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

SECOND = timedelta(seconds=1)


def work(**kwargs: object) -> None:
    """What simulated jobs refer to. It is never called: the seed says what a call does."""


def draw_job(world: World, id: str) -> Job:
    rng, now = world.rng, world.wall
    schedule = draw_schedule(rng, world.weather.begin, now)
    world.oracle.knows(schedule)
    several = rng.random() < 0.35
    return check_job(Job(
        id=id, func="tests.simulation.people:work", trigger=schedule.trigger, anchored_at=now, name=id, uid=world.next_uid(),
        next_fire_time=plan.first_fire_time(schedule.trigger, now),
        coalesce=not several or rng.random() < 0.5,
        catch_up=rng.choice([None, None, 0, 1, 3]) if several else None,
        misfire_grace_time=rng.choice([None, None, 0.5 * SECOND, 3 * SECOND, 20 * SECOND]),
        max_instances=rng.choice([1, 1, 1, 2, 3]),
        overlap=rng.choice([Overlap.SKIP, Overlap.SKIP, Overlap.QUEUE, Overlap.CANCEL]),
        max_waiting=rng.choice([1, 1, 2]),
        timeout=rng.choice([None, None, None, SECOND, 6 * SECOND]),
        retry=rng.choice([
            ONCE, Retry(2), Retry(3, 0.5 * SECOND), Retry(3, SECOND, backoff=2.0, jitter=0.3),
            Retry(4, 0.2 * SECOND, on=["ConnectionError"]), Retry(3, give_up_on=["ConnectionError"]),
        ]),
        pause_after=rng.choice([None] * 9 + [3]),
        expect_every=rng.choice([None, None, 5 * SECOND]),
        expire_after=rng.choice([None, None, None, SECOND, 4 * SECOND]),
    ))  # fmt: skip


def draw_deed(world: World, process: Process) -> Callable[[], None]:
    """A deed with all its particulars, to be done when its thread begins."""
    rng = world.rng
    scheduler = process.scheduler
    assert scheduler is not None
    name = rng.choice([*DEEDS])
    job_id = f"job-{rng.randrange(world.weather.jobs)}"
    luck, seconds = rng.random(), rng.choice([0.0, 0.03, 1.0, 4.0])
    deed = DEEDS[name]

    def do() -> None:
        world.oracle.asks(world.turns.current, name)
        try:
            answer = deed(world, scheduler, job_id, luck, seconds)
        except TickworkError as error:
            if isinstance(error, ConflictError):
                world.oracle.fault(f"{name}: gave up after a hundred conflicts")
            world.tell("someone", f"{name} {job_id} at {process.name}: {type(error).__name__}")
        else:
            world.tell("someone", f"{name} {job_id} at {process.name}", answer or "")

    world.tell("someone", f"wants to {name} {job_id} at {process.name}")
    return do


def _pause(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    scheduler.pause_job(job_id, reason="a reason" if luck < 0.5 else None)


def _resume(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    scheduler.resume_job(job_id)


def _modify(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    if luck < 0.3:
        scheduler.modify_job(job_id, max_instances=1 + int(luck * 10))
    elif luck < 0.6:
        scheduler.modify_job(job_id, kwargs={"luck": luck})
    else:
        scheduler.modify_job(job_id, next_run_time=world.wall + timedelta(seconds=seconds * (-1 if luck > 0.9 else 1)))


def _reschedule(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    schedule = draw_schedule(world.rng, world.weather.begin, world.wall)
    world.oracle.knows(schedule)
    scheduler.reschedule_job(job_id, schedule.trigger)


def _remove(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    if luck < 0.4:
        scheduler.remove_job(job_id)


def _add(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    scheduler.add_jobs([draw_job(world, job_id)])


def _run_now(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    if luck < 0.3:
        scheduler.run_job_now(job_id, expire_after=1.0, by="someone")
    else:
        scheduler.run_job_now(job_id)


def _cancel(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> str | None:
    run = _one_of(scheduler, job_id, [RunState.PENDING, RunState.RUNNING], luck)
    if run is None:
        return None
    scheduler.cancel_run(run.id)
    return run.id


def _retry(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> str | None:
    closed = [state for state in RunState if state.closed]
    run = _one_of(scheduler, job_id, closed, luck)
    if run is None:
        return None
    scheduler.retry_run(run.id, even_if_succeeded=luck < 0.5)
    return run.id


def _backfill(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    scheduler.backfill_job(
        job_id, world.wall - timedelta(seconds=3 + 9 * luck), world.wall - timedelta(seconds=seconds),
        max_instances=1 + int(luck * 3), everything=luck < 0.2, newest_first=luck > 0.7,
    )  # fmt: skip


def _cancel_backfill(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    for backfill in scheduler.get_backfills(job_id, ended=False, limit=1):
        scheduler.cancel_backfill(backfill.id)


def _prune(world: World, scheduler: Scheduler, job_id: str, luck: float, seconds: float) -> None:
    scheduler.prune(Retention(age=timedelta(seconds=5 + 10 * luck), count=None if luck < 0.5 else 8))


def _one_of(scheduler: Scheduler, job_id: str, states: list[RunState], luck: float) -> Run | None:
    runs = scheduler.get_runs(job_id, states=states, limit=5)
    return runs[int(luck * len(runs))] if runs else None


Deed = Callable[["World", Scheduler, str, float, float], Any]
DEEDS: dict[str, Deed] = {
    "pause": _pause, "resume": _resume, "modify": _modify, "reschedule": _reschedule, "remove": _remove, "add": _add,
    "run now": _run_now, "cancel": _cancel, "retry": _retry, "backfill": _backfill,
    "cancel the backfill of": _cancel_backfill, "prune": _prune,
}  # fmt: skip
