"""tickwork in a FastAPI app: started and stopped with it, seen and controlled through it.

app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(create_router(scheduler, prefix="/tickwork", dependencies=[Depends(admin)]))
"""

from tickwork.fastapi.lifespan import lifespan
from tickwork.fastapi.router import UnprotectedRoutesError, create_router

__all__ = ["UnprotectedRoutesError", "create_router", "lifespan"]
