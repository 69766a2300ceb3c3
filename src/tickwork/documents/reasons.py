"""Why something failed, as it is kept and shown: bounded, and in characters that every database takes."""

from __future__ import annotations

MOST_TOLD = 500
"""Characters of a reason that are kept."""


def reason_of(error: BaseException) -> str:
    """The error's type and text, whatever its code does."""
    try:
        text = str(error)
    except Exception as worse:  # noqa: BLE001  it may be anybody's code
        text = f"its text cannot be read: {type(worse).__name__}"
    return told(f"{type(error).__name__}: {text}")


def told(reason: str) -> str:
    """What is kept of it: half a surrogate pair and the character 0 are written out."""
    return reason[:MOST_TOLD].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:MOST_TOLD]
