"""How a scheduler does, for those who ask whether it is alive and ready."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Health:
    """What is true of a scheduler at this moment."""

    running: bool
    """Whether its thread is alive, and it has not been asked to stop."""
    paused: bool
    node: str | None
    """This start's random name in the ledger. None: not started."""
    store: str
    """Where the store is."""
    outage: str | None
    """Why nothing fires: the store cannot be used, ticks fail, or clocks disagree. None: all is well."""
    live: bool = True
    """Whether its thread works. If not, nothing helps but a new process. One that was not started is not dead."""
    lateness: timedelta | None = None
    """The longest that a run of the last minute or two waited for its start here. None: none began."""
    nodes: int | None = None
    """How many nodes were alive on this store at the last look, a third of a lease ago or less. None: not started."""
    overdue: int | None = None
    """How many jobs were overdue then. None: not started."""
    events_waiting: int = 0
    """How many events have not been told yet: many, if listeners fall behind."""
    events_dropped: int = 0
    """How many events some listener of this scheduler will never hear of, as it is too slow."""

    @property
    def ready(self) -> bool:
        """Whether this node fires, or would if it were not paused: it runs, and its store can be used."""
        return self.running and self.live and self.outage is None
