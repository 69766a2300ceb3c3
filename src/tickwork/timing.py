"""How often a node looks at its store, and how long its word is believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Timing:
    lease: timedelta = timedelta(seconds=10)
    """A run whose node has not renewed it for so long is lost."""
    poll: timedelta = timedelta(seconds=1)
    """The longest wait between two looks at the store, when no news comes."""
    ahead: timedelta = timedelta(milliseconds=50)
    """How long before its fire time a run is claimed: the commit is done when the time comes."""
    rest: timedelta = timedelta(milliseconds=20)
    """The shortest time between two rounds: what comes due within it shares their commits."""
    short_rest: timedelta = timedelta(milliseconds=1)
    """The same while more is due than one round could take."""
    batch: int = 500
    """How many jobs or runs one statement takes."""
    last_call: timedelta = timedelta(seconds=1)
    """How long cancelled coroutines have to clean up when the loop stops."""
    late: timedelta = timedelta(seconds=10)
    """What has been due for longer makes way for what has not: a backlog drains in the room that is left."""
    set_aside: timedelta = timedelta(seconds=30)
    """How long a job is left alone whose function or trigger this node cannot use."""
    prune: timedelta = timedelta(minutes=10)
    """How often a node goes through the ledger, to let go of what is kept no longer."""
