"""The nodes that a store has heard of, in memory, and what their code declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tickwork.declaration import Declaration
from tickwork.job import Job
from tickwork.node import Node, NodeState
from tickwork.stores import base
from tickwork.why import Absence


class Nodes:
    """One entry for each stretch of time in which a node was heard of without a break."""

    def __init__(self) -> None:
        self._stretches: dict[tuple[str, datetime], Node] = {}
        self._declared: dict[str, frozenset[str]] = {}
        """The ids of jobs by the name of their declaration."""

    def put(self, node: Node) -> None:
        self._stretches[node.id, node.seen_since] = node

    def declare(self, declaration: Declaration) -> None:
        self._declared[declaration.name] = declaration.ids

    def latest(self, now: datetime, *, alive: bool, limit: int) -> Sequence[Node]:
        """Each node as it was last heard of, the latest first."""
        latest = {node.id: node for node in sorted(self._stretches.values(), key=lambda node: node.seen_since)}
        read = [node.read_at(now) for node in latest.values()]
        chosen = sorted((node for node in read if not alive or node.state is NodeState.ALIVE), key=lambda node: node.id)
        return sorted(chosen, key=lambda node: (node.seen_at, node.started_at), reverse=True)[:limit]

    def undeclared(self, jobs: Collection[Job], apps: Collection[str], now: datetime) -> Sequence[Job]:
        """Those of *jobs* that belong to these *apps*, and that no living node's code declares any more."""
        living = {node.declaration for node in self.latest(now, alive=True, limit=base.MAX_NODES)}
        declared = {id for name in living for id in self._declared.get(name, ())}
        return [
            job for job in jobs
            if job.declared in apps and job.retired_at is None and not job.ended and job.id not in declared
        ]  # fmt: skip

    def absence(self, instant: datetime, now: datetime) -> Absence | None:
        """Between which nodes an *instant* lies at which none was alive. None: one was, or it is not known."""
        nodes = [node.read_at(now) for node in self._stretches.values()]
        known = [node for node in nodes if node.seen_since <= instant]
        before = [node for node in known if node.seen_at < instant and node.state is not NodeState.ALIVE]
        if len(before) < len(known) or not before or instant > now:
            return None
        after = [node for node in nodes if node.seen_since > instant]
        return Absence(
            max(before, key=lambda node: node.seen_at), min(after, key=lambda node: node.seen_since, default=None)
        )

    def pack(self) -> tuple[Sequence[Node], Mapping[str, Sequence[str]]]:
        """Every stretch, and the ids of jobs by the name of their declaration."""
        return [*self._stretches.values()], {name: sorted(ids) for name, ids in self._declared.items()}

    def unpack(self, nodes: Sequence[Node], declarations: Mapping[str, Sequence[str]]) -> None:
        self._stretches = {(node.id, node.seen_since): node for node in nodes} | self._stretches
        self._declared = {name: frozenset(ids) for name, ids in declarations.items()} | self._declared

    def forget(self, before: datetime, now: datetime) -> None:
        """Forget what was last heard of before that, and the earliest if there are too many."""
        stretches = sorted(self._stretches.items(), key=lambda item: item[1].seen_at)
        for place, (key, node) in enumerate(stretches, 1 - len(stretches)):
            if node.lease_until <= now and (node.seen_at < before or place <= -base.MAX_NODES):
                del self._stretches[key]
        names = {node.declaration for node in self._stretches.values()}
        self._declared = {name: ids for name, ids in self._declared.items() if name in names}
