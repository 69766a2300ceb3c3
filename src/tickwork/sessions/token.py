"""Tokens: what a client shows to be given its session.

The rule: only the server makes one, and only its hash is stored. Who reads the store can show no token.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from tickwork.errors import InvalidSessionError

BYTES = 32
"""256 bits: nobody guesses one."""
FORM = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


def new_token() -> str:
    """43 characters that go into a cookie, a header or a URL as they are."""
    return secrets.token_urlsafe(BYTES)


def id_of(token: object) -> str | None:
    """The id of the session that *token* opens, if there is one. None: no server made this token."""
    if not isinstance(token, str) or not FORM.fullmatch(token):
        return None
    return hashlib.sha256(token.encode()).hexdigest()


def check_id(id: object) -> str:
    """InvalidSessionError unless *id* is written as ids are. What was given is not shown: it may be a token."""
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise InvalidSessionError("id: expected the id of a session, 64 hexadecimal digits, got something else")
    return id
