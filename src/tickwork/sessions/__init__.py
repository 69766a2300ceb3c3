"""Sessions that several workers share: history, state, and an end that the server decides.

sessions = Sessions("sqlite:///sessions.db", idle="30m", absolute="12h")    # or redis://..., valkey://...
session = sessions.log_in("anna")
session.append("user", "How do I reset my password?")
again = sessions.get(session.token)
"""

from tickwork.sessions.limits import Limits
from tickwork.sessions.record import Message, Record
from tickwork.sessions.session import Session
from tickwork.sessions.sessions import Sessions

__all__ = ["Limits", "Message", "Record", "Session", "Sessions"]
