"""A FastAPI app with a job: `uvicorn examples.fastapi_app:app --workers 4`, then http://127.0.0.1:8000/tickwork/"""

from fastapi import FastAPI

from tickwork import AsyncIOScheduler, Run
from tickwork.fastapi import create_router, lifespan

scheduler = AsyncIOScheduler("sqlite:///jobs.db")  # shared by all workers: each fire time runs once


@scheduler.scheduled_job("interval", seconds=1, id="refresh")
async def refresh() -> str:
    return "refreshed"


app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(create_router(scheduler, prefix="/tickwork", unprotected=True))


@app.post("/refresh", status_code=202)
def refresh_now() -> str:
    """Run the job outside its schedule, in whichever worker has room."""
    run: Run = scheduler.run_job_now("refresh")
    return run.id
