"""The scripts of the store, one a file, each behind the one that they share."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

FOLDER = Path(__file__).parent / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    text: bytes
    sha: str
    """By which the server knows it, once it was loaded."""


def _read_all() -> dict[str, Script]:
    shared = (FOLDER / "shared.lua").read_bytes()
    scripts = {}
    for path in FOLDER.glob("*.lua"):
        text = shared + path.read_bytes()
        scripts[path.stem] = Script(text, sha1(text, usedforsecurity=False).hexdigest())
    return scripts


SCRIPTS = _read_all()
"""By the names of their files."""
