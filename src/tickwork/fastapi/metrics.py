"""The metrics of a scheduler for Prometheus to scrape: `pip install 'tickwork[fastapi,prometheus]'`.

app.include_router(create_metrics_router(scheduler))         # GET /metrics
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fastapi import APIRouter, Depends, Request, Response
from fastapi.params import Depends as Dependency
from prometheus_client import CollectorRegistry

from tickwork.fastapi.checks import check_dependencies
from tickwork.fastapi.guard import refuse_strangers
from tickwork.measures import MAX_JOBS
from tickwork.prometheus import exposition, instrument
from tickwork.scheduler import Scheduler


def create_metrics_router(
    scheduler: Scheduler,
    *,
    path: str = "/metrics",
    dependencies: Sequence[Dependency] | None = None,
    allowed_hosts: Collection[str] = (),
    registry: CollectorRegistry | None = None,
    jobs: int = MAX_JOBS,
) -> APIRouter:
    """Instrument *scheduler*, and answer `GET` *path* with what `tickwork.prometheus.instrument` says there is.

    *dependencies* guard it. Without them it answers only to local names, IP addresses among them, and to
    *allowed_hosts*, as `create_router` does: who can read it learns the ids of jobs. *registry* may be the
    application's own, whose other metrics are then shown, too (`prometheus_client.REGISTRY`). *jobs* is how many jobs
    are told apart.

    With several worker processes a scrape reaches one of them: set PROMETHEUS_MULTIPROC_DIR to an empty folder before
    they start, and each answers for all.
    """
    check_dependencies("create_metrics_router", dependencies)
    registry = CollectorRegistry() if registry is None else registry
    instrument(scheduler, registry, jobs=jobs)
    router = APIRouter(dependencies=dependencies or [Depends(refuse_strangers(allowed_hosts))])

    @router.get(path, include_in_schema=False)
    def metrics(request: Request) -> Response:
        body, content_type = exposition(scheduler, registry, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return router
