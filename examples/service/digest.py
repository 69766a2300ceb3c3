"""The digest of a folder: one hash that changes when any of its files does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import NamedTuple

from examples.service.database import connect

SKIPPED = {"var", "node_modules", "__pycache__"}
MOST_NAMED = 20


class Stamp(NamedTuple):
    """As long as these two are the same, a file is taken to be unchanged."""

    size: int
    changed_at: int


class Entry(NamedTuple):
    stamp: Stamp
    sha256: str


def scan(folder: Path) -> dict[str, Stamp]:
    """All files of *folder* but hidden and generated ones, in order of their paths."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in SKIPPED]
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                found[str(path.relative_to(folder))] = Stamp(status.st_size, status.st_mtime_ns)
    return dict(sorted(found.items()))


def read(folder: Path, path: str, stamp: Stamp) -> Entry:
    with (folder / path).open("rb") as file:
        return Entry(stamp, file_digest(file, "sha256").hexdigest())


def recall() -> dict[str, Entry]:
    """The files as they were the last time."""
    with connect() as connection:
        return {
            path: Entry(Stamp(size, changed_at), digest)
            for path, size, changed_at, digest in connection.execute("select * from files")
        }


def keep(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> dict[str, object]:
    """Remember the files as they are *after*, and say what is new about them."""
    with connect() as connection:
        connection.execute("delete from files")
        rows = [(path, *entry.stamp, entry.sha256) for path, entry in after.items()]
        connection.executemany("insert into files values (?, ?, ?, ?)", rows)
    changed = [path for path in after if path in before and before[path].sha256 != after[path].sha256]
    return {
        "digest": sha256("\n".join(f"{entry.sha256} {path}" for path, entry in after.items()).encode()).hexdigest(),
        "files": len(after),
        "bytes": sum(entry.stamp.size for entry in after.values()),
        "added": _named([path for path in after if path not in before]),
        "changed": _named(changed),
        "removed": _named([path for path in before if path not in after]),
    }


def _named(paths: list[str]) -> list[str]:
    more = len(paths) - MOST_NAMED
    return [*paths[:MOST_NAMED], f"and {more} more"] if more > 0 else paths
