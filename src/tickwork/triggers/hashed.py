"""H: numbers that a job's id chooses, to spread load.

The rule: the choice is a pure function of the id and of the field, so it is the same on every node and after
every restart, and minute and hour are chosen independently. Changing this function would move every such job.
"""

from __future__ import annotations

from hashlib import blake2b


def choose(count: int, *, field: str, seed: str) -> int:
    """A number from 0 until before *count*; each is equally likely over many seeds."""
    digest = blake2b(f"{field} {seed}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
