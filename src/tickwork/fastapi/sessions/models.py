"""What the API says of sessions. A record holds no content, and no token is in any of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from tickwork.sessions import Content, Record


class SessionView(BaseModel):
    """A session, without what is in it."""

    id: str = Field(description="The hash of its token: it names the session, and opens nothing.")
    user: str | None = Field(description="None: nobody has logged in.")
    created_at: datetime = Field(description="When it began, or the last login was.")
    seen_at: datetime = Field(description="When it was last used, to within a minute.")
    expires_at: datetime = Field(description="When it ends if it is not used again.")
    ends_at: datetime = Field(description="When it ends in any case.")
    messages: int
    bytes: int = Field(description="Of its messages, as they are kept.")

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls(**record._asdict())


class SessionsView(BaseModel):
    """A page of the sessions that go on."""

    now: datetime
    store: str = Field(description="Where they are kept, without a password.")
    name: str
    count: int = Field(description="How many go on; of one user, if one was asked for.")
    shows_content: bool = Field(description="Whether there is a route that shows what is in a session.")
    sessions: list[SessionView]


class MessageView(BaseModel):
    number: int
    role: str
    content: Any
    at: datetime


class ContentView(BaseModel):
    """What is in a session."""

    history: list[MessageView]
    state: dict[str, Any]

    @classmethod
    def of(cls, content: Content) -> Self:
        return cls(history=[MessageView(**message._asdict()) for message in content.history], state=dict(content.state))


class EndedView(BaseModel):
    ended: int = Field(description="How many sessions went on, and do so no more.")
