"""What a store knows of a session, and the messages of its history: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class Record(NamedTuple):
    """What a store knows of a session. It holds no token and no content."""

    id: str
    """The SHA-256 of its token, in hexadecimal. It opens nothing; it changes when the token is rotated."""
    user: str | None
    """None: nobody has logged in."""
    created_at: datetime
    """When it began, or the last login was."""
    seen_at: datetime
    """When it was last used, to within a minute or a twentieth of the idle time."""
    expires_at: datetime
    """When it ends if it is not used again."""
    ends_at: datetime
    """When it ends in any case."""
    messages: int
    bytes: int
    """Of its messages, as UTF-8 JSON."""


class Message(NamedTuple):
    """A message in the history of a session."""

    number: int
    """From 1 on, in the order in which the server took them. Numbers of messages that were trimmed do not come back."""
    role: str
    content: Any
    at: datetime


class Content(NamedTuple):
    """What is in a session: for those who may see it."""

    history: Sequence[Message]
    state: Mapping[str, Any]


class Place(StrEnum):
    """Where a message stands in the conversation, which decides what is trimmed with it."""

    PINNED = "pinned"
    """Never trimmed, and part of no turn."""
    BEGINS = "begins"
    """The first of a turn."""
    CONTINUES = "continues"
    """Part of the turn before it."""


PLACES = {"system": Place.PINNED, "developer": Place.PINNED, "assistant": Place.CONTINUES, "tool": Place.CONTINUES}


def place_of(role: str) -> Place:
    """`user` begins a turn, which `assistant` and `tool` continue; `system` and `developer` stay; others begin one."""
    return PLACES.get(role, Place.BEGINS)
