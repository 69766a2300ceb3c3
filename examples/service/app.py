"""The app: the jobs run inside it, the dashboard is mounted in it, and it shows what the jobs found."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from examples.service import reports, samples
from examples.service.jobs import scheduler
from tickwork import RunState
from tickwork.fastapi import create_router, lifespan

app = FastAPI(title="Example service", lifespan=lifespan(scheduler))

# On a machine of one's own. Elsewhere: create_router(scheduler, prefix="/tickwork", dependencies=[Depends(admin)])
app.include_router(create_router(scheduler, prefix="/tickwork", unprotected=True))


@app.get("/", include_in_schema=False)
async def start_page() -> RedirectResponse:
    return RedirectResponse("/tickwork/")


@app.get("/samples")
def show_samples(limit: int = 100) -> list[dict[str, object]]:
    """How busy this machine was, newest first."""
    return samples.latest(limit)


@app.get("/digest")
def show_digest(limit: int = 10) -> list[dict[str, object]]:
    """What the latest digests of the folder found. The ledger keeps what a job returns."""
    runs = scheduler.get_runs("digest", states=[RunState.SUCCEEDED], limit=limit)
    return [{"fire_time": run.fire_time, **run.result} for run in runs]


@app.get("/reports")
def show_reports() -> dict[str, str]:
    """The daily reports, in Markdown."""
    return reports.read_all()
