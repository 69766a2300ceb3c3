"""Every decision of a sync, as a pure function: values in, values out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from tickwork.documents.document import Chunk
from tickwork.documents.errors import InvalidDocumentError, MassDeletionError

MOST_GONE = 0.3
"""The share of its documents that a source may lose in one sync: an outage often looks like an empty folder."""
FEW_GONE = 3
"""So many may go whatever their share, but not all."""
ALERTED_AFTER = 0.8
"""The share of the longest staleness after which somebody is told."""
SOON = timedelta(minutes=15)
"""A source that is synced so often needs no other try when one has failed."""
FIRST_RETRY, LAST_RETRY = timedelta(minutes=1), timedelta(days=1)


class Known(NamedTuple):
    """What the catalogue knows of a document before a sync."""

    number: int
    fingerprint: str | None
    """None: there is no revision of it that can be searched."""
    version: str | None
    failures: int = 0
    failed: str | None = None
    """The fingerprint of what failed."""
    retry_at: datetime | None = None


class Verdict(Enum):
    UNCHANGED = auto()
    CHANGED = auto()
    QUARANTINED = auto()
    """The same content failed a short while ago."""


Placement: TypeAlias = int | Chunk
"""A chunk of the revision before, by its number, or a new one."""


def judge(known: Known | None, fingerprint: str, now: datetime) -> Verdict:
    """What is to be done about a document whose content has this *fingerprint*."""
    if known is None:
        return Verdict.CHANGED
    if known.fingerprint == fingerprint:
        return Verdict.UNCHANGED
    waits = known.retry_at is not None and now < known.retry_at
    return Verdict.QUARANTINED if waits and known.failed == fingerprint else Verdict.CHANGED


def revise(live: Sequence[tuple[int, str]], chunks: Sequence[Chunk]) -> Sequence[Placement]:
    """A document's next revision: each chunk is one that is *live* (number, hash), wherever it stood, or new."""
    at_hand: defaultdict[str, list[int]] = defaultdict(list)
    for number, digest in reversed(live):
        at_hand[digest].append(number)
    return [at_hand[chunk.hash].pop() if at_hand[chunk.hash] else chunk for chunk in chunks]


def check_deletions(source: str, listed: int, gone: int) -> None:
    """MassDeletionError if a listing of *listed* documents lacks so many known ones that it is not believed."""
    if not gone:
        return
    if listed == 0 or gone > max(FEW_GONE, MOST_GONE * (listed + gone)):
        raise MassDeletionError(
            f"source {source!r}: expected at most {MOST_GONE:.0%} of its documents to be gone, got {gone} of "
            f"{listed + gone}: nothing was deleted; sync it with allow_mass_delete=True if they are to go"
        )


def alert_after(source: str, longest: timedelta, every: timedelta | None) -> timedelta:
    """After how long without a sync somebody is to be told, so that there is time before *longest* has passed.

    InvalidDocumentError if a source that is synced *every* so often cannot keep to it.
    """
    if every is not None and every >= longest:
        raise InvalidDocumentError(
            f"source {source!r}: expected max_staleness to be longer than every={every}, got {longest}: it would be "
            f"stale before each sync"
        )
    return max(longest * ALERTED_AFTER, timedelta() if every is None else (every + longest) / 2)


def retry_after(failures: int) -> timedelta:
    """How long a document is left alone that failed so often: twice as long each time, a day at most."""
    return min(FIRST_RETRY * (1 << min(failures - 1, 20)), LAST_RETRY)


def gone(known: Collection[str], listed: Collection[str]) -> list[str]:
    """The documents that a complete listing did not name."""
    return sorted(set(known) - set(listed))
