"""A node: a started scheduler, as the other nodes and people see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class NodeState(StrEnum):
    ALIVE = "alive"
    """It was heard of within its lease."""
    STOPPED = "stopped"
    """It said that it stops."""
    DEAD = "dead"
    """It was not heard of for longer than its lease: it was killed, stands still, or is cut off."""


class Node(NamedTuple):
    """A node over one stretch in which it was heard of without a break; one that comes back begins another."""

    id: str
    """Its name in the ledger, random and new at each start."""
    host: str
    """For people, as `pid` is: neither tells nodes apart."""
    pid: int
    version: str
    """Of tickwork."""
    started_at: datetime
    seen_since: datetime
    """Since when it was heard of without a break longer than its lease: its start, or when it came back."""
    seen_at: datetime
    """When it was last heard of."""
    lease_until: datetime
    """How long it is believed to be alive."""
    stopped_at: datetime | None = None
    """When it stopped. None: it has not said so."""
    paused: bool = False
    runs: int = 0
    """How many runs it had when it was last heard of, begun or held for their time."""
    lateness: timedelta | None = None
    """The longest that a run of the last minute or two waited for its start on it. None: it began none."""
    declaration: str = ""
    """What its code declares, as a short hash: nodes that show the same declare the same jobs. Empty: none."""
    clock_error: timedelta | None = None
    """How far its machine's clock was ahead of the store's, too far for it to fire. None: they agreed."""
    lifeline: str = ""
    """What it holds in the store for as long as its process lives, by the store's name for it. Empty: nothing, and only
    its lease tells that it died."""
    state: NodeState = NodeState.ALIVE
    """What it was taken for when it was read, by the store's clock."""

    @property
    def firing(self) -> bool:
        """Whether it is alive and fires what comes due."""
        return self.state is NodeState.ALIVE and not self.paused and self.clock_error is None

    def beat(
        self, now: datetime, lease: timedelta, *, paused: bool, runs: int, lateness: timedelta | None,
        clock_error: timedelta | None = None, lifeline: str = "",
    ) -> Node:  # fmt: skip
        """This node as it is heard of *now*."""
        return self._replace(
            seen_since=self.seen_since if now <= self.lease_until else now, seen_at=now, lease_until=now + lease,
            paused=paused, runs=runs, lateness=lateness, clock_error=clock_error, lifeline=lifeline,
        )  # fmt: skip

    def stopped(self, now: datetime) -> Node:
        """This node as it says its last word."""
        return self._replace(seen_at=now, lease_until=now, stopped_at=now, runs=0)

    def read_at(self, now: datetime) -> Node:
        """This node as it is to be taken *now*."""
        if self.stopped_at is not None:
            return self._replace(state=NodeState.STOPPED)
        return self._replace(state=NodeState.ALIVE if self.lease_until > now else NodeState.DEAD)


def say_clock_error(error: timedelta) -> str:
    """That a node's clock is wrong: *its clock is 61 s ahead of the store's*."""
    side = "ahead of" if error > timedelta(0) else "behind"
    return f"its clock is {abs(error).total_seconds():.0f} s {side} the store's"


def new_node(
    id: str, now: datetime, lease: timedelta, *, host: str = "", pid: int = 0, version: str = "", declaration: str = "",
) -> Node:  # fmt: skip
    """A node that starts *now*."""
    return Node(
        id=id, host=host, pid=pid, version=version, started_at=now, seen_since=now, seen_at=now,
        lease_until=now + lease, declaration=declaration,
    )  # fmt: skip
