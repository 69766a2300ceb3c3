"""The API: jobs and runs to look at, and the verbs that change them.

The rule: handlers are plain functions, which FastAPI calls on a thread. Whatever the store takes, the event
loop goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as Dependency
from fastapi.params import Query as QueryInfo
from fastapi.routing import APIRoute
from fastapi.security import APIKeyQuery
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tickwork.checks import shown
from tickwork.clock import SystemClock
from tickwork.errors import (
    BackfillEndedError,
    BackfillNotFoundError,
    ConflictError,
    FunctionReferenceError,
    InvalidJobError,
    InvalidSessionError,
    JobExistsError,
    JobNotFoundError,
    RetryRefusedError,
    RunClosedError,
    RunNotFoundError,
    SchedulerAlreadyRunningError,
    SchedulerError,
    SessionNotFoundError,
    StoreError,
    TickworkError,
    TriggerError,
)
from tickwork.fastapi.checks import check_dependencies, check_depends, check_prefix
from tickwork.fastapi.guard import (
    KNOWN_PARAMETERS,
    MAX_BODY,
    name_of,
    refuse_long_bodies,
    refuse_simple_requests,
    refuse_strangers,
    refuse_unknown_parameters,
    unexpected,
)
from tickwork.fastapi.lifespan import warn_of_idleness
from tickwork.fastapi.models import (
    Again,
    AnswerView,
    BackfillView,
    ErrorView,
    HealthView,
    JobView,
    Labels,
    LiveView,
    LogView,
    NodeView,
    Nothing,
    Order,
    Overview,
    PauseOfSeveral,
    Range,
    ReadyView,
    Reason,
    RightsView,
    RunSummary,
    RunView,
)
from tickwork.fastapi.pages import Page, add_page
from tickwork.job import Job
from tickwork.run import Run, RunState
from tickwork.scheduler import Scheduler, check_scheduler

Body = TypeVar("Body", bound=BaseModel)

LET_IN = "tickwork.let_in"
"""Where a request has that its caller may look."""
MAX_PAGE = 1_000
MAX_OFFSET = 1_000_000_000
OVERVIEW_JOBS = 200
OVERVIEW_RUNS = 200

STATUS: Sequence[tuple[type[TickworkError], int]] = (
    (JobNotFoundError, 404),
    (RunNotFoundError, 404),
    (JobExistsError, 409),
    (BackfillNotFoundError, 404),
    (BackfillEndedError, 409),
    (RunClosedError, 409),
    (RetryRefusedError, 409),
    (ConflictError, 409),
    (SchedulerAlreadyRunningError, 409),
    (SessionNotFoundError, 404),
    (InvalidJobError, 422),
    (InvalidSessionError, 422),
    (TriggerError, 422),
    (FunctionReferenceError, 422),
    (SchedulerError, 503),
    (StoreError, 503),
)
"""What an error is over HTTP; the first that fits. One that is not here is a bug: 500."""

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET)]
Search = Annotated[str, Query(description="A part of a job's id, name or function, in any case.")]
States = Annotated[
    list[RunState], Query(alias="state", default_factory=list, description="One or several times; none means all.")
]
Tags = Annotated[
    list[str], Query(alias="tag", default_factory=list, description="One or several times: jobs that have all of them.")
]
Metadata = Annotated[
    list[str], Query(default_factory=list, description="Such as team=search, one or several times: jobs that have all.")
]
Instant = Annotated[
    str | None,
    Query(description="Such as 2026-12-24T18:00Z. Without a zone it is in that of the job's cron, or the scheduler's."),
]


class UnprotectedRoutesError(TickworkError, ValueError):
    """A router that changes jobs was to be mounted, and nobody said who may call it."""


def create_router(
    scheduler: Scheduler,
    *,
    dependencies: Sequence[Dependency] | None = None,
    changes: Sequence[Dependency] | None = None,
    caller: Dependency | None = None,
    unprotected: bool = False,
    read_only: bool = False,
    allowed_hosts: Collection[str] = (),
    prefix: str = "",
) -> APIRouter:
    """The jobs and runs of *scheduler* as JSON, the verbs that change them, and the dashboard at the root.

        app.include_router(create_router(scheduler, prefix="/tickwork", dependencies=[Depends(admin)]))

    Say who may call it, in one of these ways; otherwise this raises UnprotectedRoutesError:

    - *dependencies* guard every route, the dashboard and its files too. Those that a browser satisfies by itself
      (a cookie, HTTP Basic) let people open the dashboard.
    - *read_only* leaves out the routes that change something, with or without dependencies. Who can reach it
      reads the names of jobs and functions, results, tracebacks and logs.
    - *unprotected* lets everyone who can reach the server do everything: for a development machine, or behind a
      proxy that asks who is there.
    - *changes*, such as `[Depends(admin)]`, guard the routes that change something besides: for those who may look and
      not touch. The dashboard shows no buttons to whom they answer 401 or 403. Without *dependencies* reading is as
      open as it is with *read_only*.

    *caller*, such as `Depends(current_user_name)`, gives the name of who calls, or None: jobs and runs keep it, and
    show who paused, cancelled or asked for what. No request can say so itself.

    Without dependencies, read-only or not, it answers only to local names (`localhost`, an IP address, a name
    without a dot) and to *allowed_hosts*, in any case of letters (`["*"]`: to every name), so that no page on the
    web can reach it through its visitor's browser.

    Routes, below *prefix*: `GET jobs`, `GET jobs/{id}`, `GET jobs/{id}/why?at=...`, `GET runs`, `GET runs/{id}`,
    `GET runs/{id}/log`, `GET nodes`, `GET health` (503 if this process does not fire), `GET overview`,
    `GET backfills`, `GET backfills/{id}`, `GET rights`; `POST jobs/{id}/pause`, `resume`, `run` and `backfill`,
    `POST jobs/pause` and `jobs/resume` (those with `tags` and `metadata`), `POST runs/{id}/cancel` and `retry`,
    `POST backfills/{id}/cancel`, with a JSON content type or none; and `DELETE jobs/{id}`. An id may hold slashes,
    encoded or not. Errors are `{"detail": ...}` with 403, 404, 409, 413, 415, 422 or 503, and what the dependencies
    answer, which are asked before a body is read.

    `GET health/live` and `GET health/ready` are for orchestrators: nothing guards them, they tell yes (200) or no (503)
    and no detail.
    """
    check_scheduler("create_router", scheduler, "app.include_router(create_router(scheduler, ...))")
    check_dependencies("create_router", dependencies)
    check_dependencies("create_router", changes, "changes")
    if caller is not None:
        check_depends("create_router: caller", caller)
    check_prefix(prefix)
    check_protection(
        dependencies, changes=changes, unprotected=unprotected, read_only=read_only, allowed_hosts=allowed_hosts
    )
    guards = dependencies or [Depends(refuse_strangers(allowed_hosts))]
    dependencies = [*guards, Depends(refuse_unknown_parameters)]
    guarded = APIRouter(prefix=prefix, tags=["tickwork"], route_class=TickworkRoute, dependencies=dependencies)
    add_reading_routes(guarded, scheduler)
    add_overview(guarded, scheduler, read_only=read_only)
    if not read_only:
        add_changing_routes(guarded, scheduler, name_of(caller), changes or ())
    add_rights(guarded, changes or (), read_only=read_only)
    add_page(guarded, Page("dashboard", "tickwork", "Jobs", "jobs, runs, health"))
    router = APIRouter(lifespan=warn_of_idleness(scheduler))
    add_probes(router, scheduler, prefix)
    router.include_router(guarded)
    return router


def add_probes(router: APIRouter, scheduler: Scheduler, prefix: str) -> None:
    """What an orchestrator asks, which has no credentials: so they tell no more than yes or no."""

    @router.get(f"{prefix}/health/live", tags=["tickwork"], responses={503: {"model": LiveView}})
    async def live(response: Response) -> LiveView:
        """Whether this process is worth keeping: 503 if its scheduler's thread is stuck, which only a restart cures."""
        view = LiveView(live=scheduler.health().live)
        response.status_code = 200 if view.live else 503
        return view

    @router.get(f"{prefix}/health/ready", tags=["tickwork"], responses={503: {"model": ReadyView}})
    async def ready(response: Response) -> ReadyView:
        """Whether this process fires: 503 if it does not run, or its store cannot be used. It recovers by itself."""
        view = ReadyView.of(scheduler.health())
        response.status_code = 200 if view.ready else 503
        return view


def add_reading_routes(router: APIRouter, scheduler: Scheduler) -> None:
    @router.get("/jobs")
    def jobs(
        *,
        search: Search = "",
        executor: str | None = None,
        paused: bool | None = None,
        ended: bool | None = None,
        tags: Tags,
        metadata: Metadata,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> list[JobView]:
        """Jobs: the next to fire first, then the paused and the ended ones."""
        found = [
            job
            for job in scheduler.get_jobs(tags=tags, metadata=_entries(metadata))
            if _mentions(job, search.casefold())
            and executor in (None, job.executor)
            and paused in (None, job.paused)
            and ended in (None, job.ended)
        ]
        return _job_views(scheduler, found[offset : offset + limit])

    @router.get("/jobs/{job_id:path}/why", responses=errors_of(404))
    def why(job_id: str, at: Instant = None) -> AnswerView | JobView:
        """What became of one instant of this job, past or future, and why."""
        if at is not None:
            return AnswerView.of(scheduler.why(job_id, _with_plus(at)))
        if (named_so := scheduler.get_job(f"{job_id}/why")) is not None:  # and this is its own address
            return _job_view(scheduler, named_so)
        raise InvalidJobError("at: expected a time, got none: add ?at=2026-12-24T18:00Z")

    @router.get("/jobs/{job_id:path}", responses=errors_of(404))
    def job(job_id: str) -> JobView:
        """One job: its policies, where its schedule stands, and its last run."""
        return _job_view(scheduler, _found(scheduler.get_job(job_id), job_id))

    @router.get("/runs")
    def runs(*, job_id: str | None = None, states: States, limit: Limit = 100, offset: Offset = 0) -> list[RunView]:
        """The ledger, newest rows first. It keeps the runs of jobs that were removed."""
        return [RunView.of(run) for run in scheduler.get_runs(job_id, states=states, limit=limit, offset=offset)]

    @router.get("/runs/{run_id}", responses=errors_of(404))
    def run(run_id: str) -> RunView:
        """One row of the ledger, with its result or its traceback."""
        return RunView.of(scheduler.get_run(run_id))

    @router.get("/runs/{run_id}/log", responses=errors_of(404))
    def log(run_id: str) -> LogView:
        """What this run has logged; of one that goes on, as it was a few seconds ago."""
        return LogView.of(scheduler.get_log(run_id))

    @router.get("/nodes")
    def nodes(*, alive: Annotated[bool, Query(description="Only those that are alive.")] = False) -> list[NodeView]:
        """The nodes on this store, the last heard of first: what runs, what stopped, and what died."""
        return [NodeView.of(node) for node in scheduler.get_nodes(alive=alive)]

    @router.get("/backfills")
    def backfills(*, job_id: str | None = None, ended: bool | None = None, limit: Limit = 100) -> list[BackfillView]:
        """Backfills, the newest first."""
        return [BackfillView.of(one) for one in scheduler.get_backfills(job_id, ended=ended, limit=limit)]

    @router.get("/backfills/{backfill_id}", responses=errors_of(404))
    def backfill(backfill_id: str) -> BackfillView:
        """One backfill, and how far it has come."""
        return BackfillView.of(scheduler.get_backfill(backfill_id))

    @router.get("/health", responses={503: {"model": HealthView, "description": "This process does not fire."}})
    async def health(response: Response) -> HealthView:
        """Whether the scheduler of the process that answers can fire: 200, or 503 and why not."""
        view = HealthView.of(scheduler.health())
        response.status_code = 200 if view.ready else 503
        return view


def add_overview(router: APIRouter, scheduler: Scheduler, *, read_only: bool) -> None:
    @router.get("/overview")
    def overview(
        *,
        search: Search = "",
        job_id: Annotated[str | None, Query(description="Of which job to show runs.")] = None,
        states: States,
        limit: Annotated[int, Query(ge=1, le=OVERVIEW_RUNS)] = 50,
    ) -> Overview:
        """All that the dashboard shows, in one answer: the first jobs by their ids, and the latest runs."""
        sought = search.casefold()
        found = sorted((job for job in scheduler.get_jobs() if _mentions(job, sought)), key=lambda job: job.id)
        return Overview(
            now=SystemClock().now(),
            read_only=read_only,
            health=HealthView.of(scheduler.health()),
            jobs=_job_views(scheduler, found[:OVERVIEW_JOBS]),
            jobs_total=len(found),
            runs=[RunSummary.of(run) for run in scheduler.get_runs(job_id, states=states, limit=limit)],
            nodes=[NodeView.of(node) for node in scheduler.get_nodes(alive=True)],
        )


def add_changing_routes(
    router: APIRouter, scheduler: Scheduler, caller: Any, changes: Sequence[Dependency]
) -> None:  # fmt: skip
    guard = [Depends(refuse_simple_requests), *changes]
    errors, with_body = errors_of(404, 409, 415), errors_of(404, 409, 413, 415)
    why, order = Depends(read_body(Reason)), Depends(read_body(Order))
    labels, pause_of_several = Depends(read_body(Labels)), Depends(read_body(PauseOfSeveral))
    again, past, nothing = Depends(read_body(Again)), Depends(read_body(Range)), Depends(read_body(Nothing))

    @router.post("/jobs/{job_id:path}/pause", dependencies=guard, responses=with_body, openapi_extra=schema_of(Reason))
    def pause(job_id: str, how: Reason = why, by: str | None = caller) -> JobView:
        """Fire this job on no node until it is resumed; what runs goes on."""
        return _job_view(scheduler, scheduler.pause_job(job_id, reason=how.reason, by=by))

    @router.post(
        "/jobs/pause", dependencies=guard, responses=errors_of(413, 415), openapi_extra=schema_of(PauseOfSeveral)
    )
    def pause_several(which: PauseOfSeveral = pause_of_several, by: str | None = caller) -> list[JobView]:
        """Pause the jobs that have all of these tags and entries of metadata; those that are paused now."""
        paused = scheduler.pause_jobs(tags=which.tags, metadata=which.metadata, reason=which.reason, by=by)
        return _job_views(scheduler, paused)

    @router.post("/jobs/resume", dependencies=guard, responses=errors_of(413, 415), openapi_extra=schema_of(Labels))
    def resume_several(which: Labels = labels, by: str | None = caller) -> list[JobView]:
        """Resume the jobs that have all of these tags and entries of metadata; those that fire again."""
        return _job_views(scheduler, scheduler.resume_jobs(tags=which.tags, metadata=which.metadata, by=by))

    @router.post("/jobs/{job_id:path}/resume", dependencies=[*guard, nothing], responses=errors)
    def resume(job_id: str, by: str | None = caller) -> JobView:
        """Fire this job again from now on; what fell into the pause is not made up."""
        return _job_view(scheduler, scheduler.resume_job(job_id, by=by))

    @router.post(
        "/jobs/{job_id:path}/run",
        status_code=202,
        dependencies=guard,
        responses=with_body,
        openapi_extra=schema_of(Order),
    )
    def run_now(job_id: str, how: Order = order, by: str | None = caller) -> RunView:
        """Run this job once outside its schedule, paused or not; the answer is the run, which waits for a node."""
        expire_after = {} if how.expire_after is None else {"expire_after": how.expire_after}
        return RunView.of(scheduler.run_job_now(job_id, args=how.args, kwargs=how.kwargs, by=by, **expire_after))

    @router.post(
        "/runs/{run_id}/cancel", status_code=202, dependencies=guard, responses=with_body | errors_of(422),
        openapi_extra=schema_of(Reason),
    )  # fmt: skip
    def cancel(run_id: str, how: Reason = why, by: str | None = caller) -> RunView:
        """Cancel this run: one that waits is closed, one that goes on is asked to end, on whatever node."""
        return RunView.of(scheduler.cancel_run(run_id, reason=how.reason or "cancelled over HTTP", by=by))

    @router.post(
        "/runs/{run_id}/retry", status_code=202, dependencies=guard, responses=with_body | errors_of(422),
        openapi_extra=schema_of(Again),
    )  # fmt: skip
    def retry(run_id: str, how: Again = again, by: str | None = caller) -> RunView:
        """Try this closed run again, now: the answer is the next attempt at its fire time."""
        return RunView.of(scheduler.retry_run(run_id, even_if_succeeded=how.even_if_succeeded, by=by))

    @router.post(
        "/jobs/{job_id:path}/backfill", status_code=202, dependencies=guard, responses=with_body | errors_of(422),
        openapi_extra=schema_of(Range),
    )  # fmt: skip
    def backfill(job_id: str, how: Range = past, by: str | None = caller) -> BackfillView:
        """Run the fire times of a range of the past after all, a few at a time: those that never ran."""
        return BackfillView.of(scheduler.backfill_job(
            job_id, how.start, how.end, max_instances=how.max_instances, everything=how.everything,
            newest_first=how.newest_first, args=how.args, kwargs=how.kwargs, by=by,
        ))  # fmt: skip

    @router.post(
        "/backfills/{backfill_id}/cancel", dependencies=guard, responses=with_body | errors_of(422),
        openapi_extra=schema_of(Reason),
    )  # fmt: skip
    def cancel_backfill(backfill_id: str, how: Reason = why, by: str | None = caller) -> BackfillView:
        """End this backfill: its waiting runs are closed, those that go on are asked to end."""
        reason = how.reason or "cancelled over HTTP"
        return BackfillView.of(scheduler.cancel_backfill(backfill_id, reason=reason, by=by))

    @router.delete(
        "/jobs/{job_id:path}", status_code=204, response_model=None, dependencies=guard, responses=errors_of(404)
    )
    def remove(job_id: str) -> None:
        """Remove this job; its waiting runs are cancelled, running ones go on."""
        scheduler.remove_job(job_id)


def read_body(model: type[Body]) -> Callable[[Request], Coroutine[Any, Any, Body]]:
    """A dependency that reads the body of the request; none at all is an empty one.

    FastAPI itself reads what is declared as a body before it asks who is there. Pydantic reads the JSON, and not
    `json`, which takes lone surrogates and recurses with what it is given.
    """

    async def read(request: Request) -> Body:
        body = await request.body()
        try:
            return model() if body.strip() in (b"", b"null") else model.model_validate_json(body)
        except ValidationError as error:
            raise RequestValidationError([_told(one, model) for one in error.errors()]) from None

    return read


def _told(error: ErrorDetails, model: type[BaseModel]) -> dict[str, Any]:
    """What is wrong with a body, and where."""
    message = error["msg"]
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        message = unexpected(name, model.model_fields)
    return {**error, "loc": ("body", *error["loc"]), "msg": message}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A body as the API's description shows it."""
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}}}


class TickworkRoute(APIRoute):
    """A route that reads no long body, and whose errors become answers, whatever handlers the app has of its own."""

    statuses: ClassVar = STATUS
    longest_body: ClassVar = MAX_BODY

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = _query_names(self.dependant) if self.include_in_schema else None  # a page may be asked for with any

        async def answer(request: Request) -> Response:
            request.scope[KNOWN_PARAMETERS] = known
            try:
                return await handle(refuse_long_bodies(request, self.longest_body))
            except RequestValidationError as error:
                return _refusal([{part: one[part] for part in ("type", "loc", "msg")} for one in error.errors()], 422)
            except TickworkError as error:
                status = next((status for kind, status in self.statuses if isinstance(error, kind)), None)
                if status is None:
                    raise
                return _refusal(str(error), status)

        return answer


class RightsRoute(TickworkRoute):
    """A route at which a refusal is an answer, if it comes from those who guard changes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as refusal:
                if refusal.status_code not in (401, 403) or not request.scope.get(LET_IN):
                    raise
                return Response(RightsView(change=False).model_dump_json(), media_type="application/json")

        return answer


def add_rights(router: APIRouter, changes: Sequence[Dependency], *, read_only: bool) -> None:
    """What a page asks so that it shows no buttons to those who may only look. It guards nothing."""

    async def rights() -> RightsView:
        """What you may do here: whether the routes that change something would let you in."""
        return RightsView(change=not read_only)

    dependencies = [Depends(_let_in), *changes]
    router.add_api_route("/rights", rights, dependencies=dependencies, route_class_override=RightsRoute)


def _let_in(request: Request) -> None:
    """The guards of all routes, which are asked first, have nothing against it."""
    request.scope[LET_IN] = True


def _query_names(dependant: Dependant) -> frozenset[str]:
    """What a URL may ask for, by a route or what it depends on."""
    declared = {field.alias for field in get_flat_params(dependant) if isinstance(field.field_info, QueryInfo)}
    return frozenset(declared.union(*map(_key_names, dependant.dependencies)))


def _key_names(dependant: Dependant) -> set[str]:
    """The names of secrets that a dependency takes from the URL by itself."""
    own = {dependant.call.model.name} if isinstance(dependant.call, APIKeyQuery) else set()
    return own.union(*map(_key_names, dependant.dependencies))


def _refusal(detail: object, status: int) -> Response:
    """In ASCII, which can always be written: what is told may quote half a surrogate pair.

    What was got is left out where it is not known to be JSON, such as NaN.
    """
    return Response(json.dumps({"detail": detail}), status, media_type="application/json")


def check_protection(
    dependencies: Sequence[Dependency] | None, *, changes: Sequence[Dependency] | None, unprotected: bool,
    read_only: bool, allowed_hosts: Collection[str], deeds: str = "pause, run and remove jobs",
    made_by: str = "create_router",
) -> None:  # fmt: skip
    """UnprotectedRoutesError unless somebody said who may call the routes that do these *deeds*."""
    if (dependencies or changes) and unprotected:
        raise UnprotectedRoutesError(
            f"{made_by}: expected dependencies or unprotected=True, got both: leave out the one that is not meant"
        )
    if changes and read_only:
        raise UnprotectedRoutesError(
            f"{made_by}: expected changes=[...] or read_only=True, got both: leave out the one that is not meant"
        )
    if not (dependencies or changes or unprotected or read_only):
        raise UnprotectedRoutesError(
            f"{made_by}: expected dependencies for routes that {deeds}, got none: pass "
            "dependencies=[Depends(...)], or read_only=True to leave these routes out, or unprotected=True if "
            "everyone who can reach this server may call them"
        )
    if isinstance(allowed_hosts, str) or (allowed_hosts and dependencies):
        raise UnprotectedRoutesError(
            f"{made_by}: expected allowed_hosts=[...] only without dependencies, got {allowed_hosts!r}: "
            "dependencies say who may call, by whatever name"
        )


def errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorView} for status in statuses}


def _with_plus(at: str) -> str:
    """A plus that is not encoded in a URL arrives as a space: the one before a zone's offset is meant."""
    return at.replace(" ", "+") if "T" in at else at


def _entries(metadata: Sequence[str]) -> dict[str, str]:
    """Entries of metadata as a URL writes them."""
    for entry in metadata:
        if "=" not in entry:
            raise InvalidJobError(f"metadata: expected an entry such as team=search, got {shown(entry)}")
    return {key: value for key, _, value in (entry.partition("=") for entry in metadata)}


def _mentions(job: Job, text: str) -> bool:
    return any(text in field.casefold() for field in (job.id, job.name, job.func))


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise JobNotFoundError(job_id)
    return job


def _job_view(scheduler: Scheduler, job: Job) -> JobView:
    return _job_views(scheduler, [job])[0]


def _job_views(scheduler: Scheduler, jobs: Sequence[Job]) -> list[JobView]:
    latest = _latest_runs(scheduler, jobs)
    watched = any(job.expect_every is not None for job in jobs)
    overdue_at = {one.job_uid: one.overdue_at for one in scheduler.get_overdue()} if watched else {}
    return [JobView.of(job, latest.get(job.uid), overdue_at.get(job.uid)) for job in jobs]


def _latest_runs(scheduler: Scheduler, jobs: Sequence[Job]) -> dict[int, Run]:
    """The newest run of each job, by the job's uid: most of them in one look, the others one by one."""
    latest = _newest_by_job(scheduler.get_runs(limit=OVERVIEW_RUNS) if len(jobs) > 1 else ())
    for job in jobs:
        if job.uid not in latest and job.version > 1:  # a job that was never written again has no run
            latest |= _newest_by_job(scheduler.get_runs(job.id, limit=1))
    return latest


def _newest_by_job(runs: Iterable[Run]) -> dict[int, Run]:
    newest: dict[int, Run] = {}
    for run in runs:
        newest.setdefault(run.job_uid, run)
    return newest
