"""URLs as they may be logged."""

from __future__ import annotations


def masked(url: str) -> str:
    """The URL without its user, password and options."""
    scheme, separator, rest = url.partition("://")
    place, _, options = rest.partition("?")
    if "@" in options:  # or of a password: nothing tells where it ends
        return f"{scheme}{separator}***"
    _, at, host = place.rpartition("@")
    return f"{scheme}{separator}{'***@' if at else ''}{host}"
