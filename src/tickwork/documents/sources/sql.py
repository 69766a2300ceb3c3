"""`SQLQuery`: the rows of a query as documents, from any database with a DB-API driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from tickwork.checks import shown
from tickwork.documents.document import Doc, Listed, Unreadable, id_of
from tickwork.documents.errors import InvalidDocumentError, SourceUnavailableError
from tickwork.documents.reasons import reason_of

FETCHED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class SQLQuery:
    """The rows that *statement* gives on a connection that *connect* opens, and which is closed afterwards.

    *id*, *text*, *uri*, *modified* and *meta* name its columns. A time without a zone is taken as UTC. A row whose text
    is null keeps its last good revision. What the database raises is a SourceUnavailableError, and deletes nothing.
    """

    connect: Callable[[], Any]
    statement: str
    id: str = "id"
    text: str = "text"
    uri: str | None = None
    modified: str | None = None
    meta: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not callable(self.connect):
            raise InvalidDocumentError(
                f"SQLQuery: expected a function that opens a connection, got {shown(self.connect)}: write lambda: ..."
            )
        if not isinstance(self.statement, str) or not self.statement.strip():
            raise InvalidDocumentError(f"SQLQuery: expected a statement, got {shown(self.statement)}")
        if isinstance(self.meta, str):
            raise InvalidDocumentError(f"SQLQuery meta: expected a list of columns, got {shown(self.meta)}")

    def __call__(self) -> Iterator[Listed]:
        rows = self._rows()
        while True:
            try:
                row = next(rows, None)
            except InvalidDocumentError:
                raise
            except Exception as error:
                raise SourceUnavailableError(f"SQLQuery: expected rows, got {reason_of(error)}") from error
            if row is None:
                return
            yield self._document(row)

    def _rows(self) -> Iterator[dict[str, Any]]:
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(self.statement)
            columns = [column[0] for column in cursor.description or ()]
            wanted = [self.id, self.text, *self.meta, *filter(None, (self.uri, self.modified))]
            if lacking := [name for name in wanted if name not in columns]:
                raise InvalidDocumentError(
                    f"SQLQuery: expected the columns {', '.join(wanted)}, got {', '.join(columns) or 'none'}: name "
                    f"{', '.join(lacking)} in the statement, as in 'select body as text'"
                )
            while rows := cursor.fetchmany(FETCHED_AT_ONCE):
                for row in rows:
                    yield dict(zip(columns, row, strict=True))

    def _document(self, row: dict[str, Any]) -> Listed:
        id = "" if row[self.id] is None else str(row[self.id])
        try:
            if row[self.text] is None:
                return Unreadable(id_of(id), f"expected a text in {self.text}, got null")
            meta = {name: json.loads(json.dumps(row[name], default=str, allow_nan=False)) for name in self.meta}
            modified = None if self.modified is None else _instant(row[self.modified])
            uri = None if self.uri is None or row[self.uri] is None else str(row[self.uri])
            return Doc(id, row[self.text], uri=uri, modified=modified, meta=meta)
        except ValueError as error:  # also what Doc refuses
            return Unreadable(id_of(id), str(error)[:300])


def _instant(value: object) -> datetime | None:
    """A time as drivers give it: a datetime, a date, or text."""
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        value = datetime.fromisoformat(str(value))
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
