"""Endings of runs, as settle.lua writes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tickwork.codec import to_text, write_log
from tickwork.plan import Settlement
from tickwork.stores.redis.rows import (
    born_run,
    ended_run,
    ends_plainly,
    ids_json,
    numbers_json,
    read_version,
    uid,
    written_change,
)


class Ending:
    """Some settlements, and the rows that their runs become."""

    def __init__(self, settlements: Sequence[Settlement]) -> None:
        self.settlements = settlements
        runs = [one.run for one in settlements]
        rows = [*map(ended_run, runs)]
        self.ids, self.runs = [id for id, _ in rows], [row for _, row in rows]
        self._versions = [*map(read_version, runs)]
        self._plain = [int(ends_plainly(run)) for run in runs]
        self._attempts = [
            (place, *born_run(one.attempt)) for place, one in enumerate(settlements, 1) if one.attempt is not None
        ]  # fmt: skip

    def words(self, name: str, now: int) -> Sequence[str | int]:
        """What the script is given; *name* is who wakes others, if they have something to do with it."""
        logs = [(place, write_log(one.log)) for place, one in enumerate(self.settlements, 1) if one.log is not None]
        states = [
            (place, uid(one.state.job_uid), written_change(one.state))
            for place, one in enumerate(self.settlements, 1) if one.state is not None
        ]  # fmt: skip
        return (
            ids_json(self.ids), ids_json(self._versions), "\n".join(self.runs), numbers_json(self._plain),
            to_text(self._attempts), to_text(logs), to_text(states), now, name,
        )  # fmt: skip

    def attempts_of(self, won: Collection[int]) -> dict[str, str]:
        """The rows, by id, of the attempts that follow those at these places."""
        if not self._attempts:
            return {}
        places = {*won}
        return {id: row for place, id, row in self._attempts if place in places}
