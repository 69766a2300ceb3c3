"""Sessions that several workers share: history, state, and an end that the server decides; and a cache.

sessions = Sessions("sqlite:///sessions.db", idle="30m", absolute="12h")    # or redis://..., valkey://...
session = sessions.log_in("anna")
session.append("user", "How do I reset my password?")
again = sessions.get(session.token)
answer = sessions.cache.get_or_set("answer", ask, ttl="5m")

In an event loop: `await sessions.aio.get(token)`, `await session.aio.append(...)`. FastAPI: tickwork.fastapi.sessions.
"""

from tickwork.sessions.cache import Cache
from tickwork.sessions.limits import Limits
from tickwork.sessions.record import Content, Message, Record
from tickwork.sessions.session import Session
from tickwork.sessions.sessions import Sessions
from tickwork.sessions.sweeping import add_sweep_job

__all__ = ["Cache", "Content", "Limits", "Message", "Record", "Session", "Sessions", "add_sweep_job"]
