"""The route that Prometheus scrapes."""

from __future__ import annotations

import pytest
from fastapi import Depends, FastAPI, HTTPException
from prometheus_client import CollectorRegistry, Counter
from tests import deeds
from tests.fastapi.client import Client

from tickwork.fastapi.metrics import create_metrics_router
from tickwork.testing import ManualScheduler


@pytest.fixture
def scheduler() -> ManualScheduler:
    scheduler = ManualScheduler()
    scheduler.start()
    return scheduler


def served(router: object, host: str = "127.0.0.1:8000") -> Client:
    app = FastAPI()
    app.include_router(router)  # type: ignore[arg-type]
    return Client(app, base_url=f"http://{host}")


def test_a_scrape_shows_what_was_counted_as_text(scheduler: ManualScheduler) -> None:
    client = served(create_metrics_router(scheduler))
    scheduler.add_job(deeds.nothing, id="job")
    scheduler.run_due()

    answer = client.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'tickwork_runs_total{error="",job_id="job",state="succeeded"} 1.0' in answer.text
    assert "# TYPE tickwork_run_lateness_seconds histogram" in answer.text


def test_a_scraper_may_ask_for_openmetrics(scheduler: ManualScheduler) -> None:
    answer = served(create_metrics_router(scheduler)).get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_the_applications_own_registry_shows_its_other_metrics_too(scheduler: ManualScheduler) -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc()

    answer = served(create_metrics_router(scheduler, registry=registry, path="/internal/metrics")).get(
        "/internal/metrics"
    )

    assert "orders_total 1.0" in answer.text
    assert "tickwork_store_up 1.0" in answer.text


def test_without_dependencies_it_answers_to_local_names_only(scheduler: ManualScheduler) -> None:
    router = create_metrics_router(scheduler, allowed_hosts=["metrics.example.com"])

    assert served(router, "evil.example.com").get("/metrics").status_code == 403
    assert served(router, "10.0.0.7:8000").get("/metrics").status_code == 200
    assert served(router, "metrics.example.com").get("/metrics").status_code == 200


def test_dependencies_guard_it(scheduler: ManualScheduler) -> None:
    def nobody() -> None:
        raise HTTPException(401)

    router = create_metrics_router(scheduler, dependencies=[Depends(nobody)])

    assert served(router).get("/metrics").status_code == 401
