"""H: numbers that a job's id chooses, to spread load.

The rule: the choice is a pure function of the id and of the field, so it is the same on every node and after
every restart, and minute and hour are chosen independently. Changing this function would move every such job.
"""

from __future__ import annotations

from hashlib import blake2b

from tickwork.checks import shown
from tickwork.errors import TriggerError

MAX_SEED = 200
"""Characters: as many as a job's id may have."""


def choose(count: int, *, field: str, seed: str) -> int:
    """A number from 0 until before *count*; each is equally likely over many seeds."""
    digest = blake2b(f"{field} {seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


def check_seed(seed: object) -> None:
    """TriggerError unless *seed* is text that a store can write, and no longer than MAX_SEED; or None."""
    if seed is None:
        return
    if not isinstance(seed, str) or any("\ud800" <= letter <= "\udfff" for letter in seed):  # halves of letters
        raise TriggerError(f"seed: expected text such as a job's id, got {shown(seed)}")
    if len(seed) > MAX_SEED:
        raise TriggerError(f"seed: expected {MAX_SEED} characters at most, as in a job's id, got {len(seed)}")
