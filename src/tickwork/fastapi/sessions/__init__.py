"""Sessions in a FastAPI app: carried by a cookie or a header, and seen and ended by operators.

cookie = SessionCookie(sessions)

@app.post("/chat")
async def chat(question: str, session: Annotated[Session, Depends(cookie)]): ...

app.include_router(create_sessions_router(sessions, prefix="/sessions", dependencies=[Depends(admin)]))
"""

from tickwork.fastapi.sessions.cookie import SessionCookie
from tickwork.fastapi.sessions.header import SessionHeader
from tickwork.fastapi.sessions.router import create_sessions_router

__all__ = ["SessionCookie", "SessionHeader", "create_sessions_router"]
