"""Compaction: the room is given back of what no search can find any more.

The rule: each step is whole by itself, and takes away what nothing can reach. So searches go on beside it, and a
process that is killed at any of them leaves work undone, and nothing wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tickwork.clock import Clock
from tickwork.documents.catalogue import Catalogue
from tickwork.documents.catalogue.sqlite import SQLiteCatalogue
from tickwork.documents.errors import IndexUnusableError
from tickwork.documents.index import Index
from tickwork.documents.syncing import Step, clear
from tickwork.errors import StoreUnavailableError

if TYPE_CHECKING:
    from tickwork.documents.keeping import IndexKeeper

WORTH = 10
"""What is written anew has a tenth of it to give back at least."""
VECTORS_AT_ONCE = 5_000


class Compaction(NamedTuple):
    """What a compaction has let go of."""

    chunks: int
    """Chunks of revisions that died longer than a minute ago."""
    vectors: int
    """Vectors of no chunk that is left."""
    rebuilt: bool
    """Whether the index was built anew."""
    vacuumed: bool
    """Whether the catalogue's file was written anew."""
    freed: int
    """Bytes on the disk; negative if others wrote more meanwhile."""
    left: tuple[str, ...]
    """What could not be given back now, and when it will be."""


def compact(
    catalogue: Catalogue, index: Index, keeper: IndexKeeper | None, clock: Clock, reached: Callable[[Step], None]
) -> Compaction:
    """Give back what can be given back. The turn is held, if there is one."""
    before = catalogue.size()
    left: list[str] = []
    chunks = clear(catalogue, index, clock, reached)
    vectors = forget_vectors(catalogue, reached)
    rebuilt = keeper is not None and rebuild(keeper, left)
    reached(Step.REBUILT)
    vacuumed = isinstance(catalogue, SQLiteCatalogue) and vacuum(catalogue, left)  # PostgreSQL does it by itself
    reached(Step.VACUUMED)
    return Compaction(chunks, vectors, rebuilt, vacuumed, before - catalogue.size(), tuple(left))


def forget_vectors(catalogue: Catalogue, reached: Callable[[Step], None]) -> int:
    """Vectors that were embedded, and whose chunks are gone or never came: a sync was killed, or gave up."""
    forgotten = 0
    while some := catalogue.forget_vectors(VECTORS_AT_ONCE):
        forgotten += some
        reached(Step.FORGOTTEN)
    return forgotten


def rebuild(keeper: IndexKeeper, left: list[str]) -> bool:
    """Build the index anew if much of it is dead; the files of former ones go as well."""
    rebuilt = False
    try:
        if keeper.worn(WORTH):
            keeper.rebuild()
            rebuilt = True
        if not keeper.sweep():
            left.append("files of the index: the process that keeps its server removes them after its next sync")
    except IndexUnusableError as error:
        left.append(f"the index: {error}")
    return rebuilt


def vacuum(catalogue: SQLiteCatalogue, left: list[str]) -> bool:
    """Write the catalogue's file anew if much of it is empty; where that fails it stays as it was."""
    empty, pages = catalogue.emptiness()
    if not empty or empty * WORTH < pages:
        return False
    try:
        catalogue.vacuum()
    except StoreUnavailableError as error:
        left.append(f"the catalogue, of which {empty:,} of {pages:,} pages are empty: {error}")
        return False
    return True
