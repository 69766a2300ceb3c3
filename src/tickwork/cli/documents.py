"""The commands of documents: `docs sync`, `docs search`, `docs status`, `docs verify` and `docs compact`.

They work in a process of their own, on the same folder as the app: what they sync its workers find.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from tickwork.cli.arguments import duration, entry, whole
from tickwork.cli.records import print_json
from tickwork.cli.tables import plain_text, print_table
from tickwork.cli.targets import load
from tickwork.cli.words import say_duration

if TYPE_CHECKING:
    from tickwork.documents import Documents, SourceStatus

LONGEST_LINE = 100
"""Letters of a hit that are shown on a line; with --json all are."""


def add_document_commands(command: Callable[..., Callable[..., argparse.Action]]) -> None:
    documents = ("documents", "MODULE:DOCUMENTS", "where the Documents are, or a function that makes them: app.kb:docs")
    option = command("sync", sync_documents, documents, ("source", "SOURCE", "its name"))
    option("--dry-run", action="store_true", help="only say what it would take")
    option("--allow-mass-delete", action="store_true", help="even if most of its documents are gone")
    option("--json", action="store_true", help="for programs")
    option = command("search", search_documents, documents, ("text", "TEXT", "what is looked for"))
    option("-k", type=partial(whole, least=1, most=1000), default=5, metavar="N", help="how many; default 5")
    option(
        "--where",
        type=entry,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what meta must have; several of a key are a choice",
    )
    option("--source", metavar="NAME", help="of this source alone")
    option("--max-age", type=duration, metavar="LENGTH", help="older hits are stale, such as 2h")
    option("--on-stale", choices=("mark", "drop", "refresh", "raise"), default="mark", help="default mark")
    option("--json", action="store_true", help="for programs; times in UTC")
    option = command("status", show_documents_status, documents)
    option("--json", action="store_true", help="for programs; times in UTC, durations in seconds")
    option = command("verify", verify_documents, documents)
    option(
        "--repair", action="store_true", help="give the index what it lacks, and take from it what it should not have"
    )
    option = command("compact", compact_documents, documents)
    option("--json", action="store_true", help="for programs; sizes in bytes")


def sync_documents(options: argparse.Namespace) -> int:
    """Make what a source has now what is searched, and say what that took.

    With --dry-run only say what it would take. Exit code 1 if documents could not be taken in.
    """
    with open_documents(options.documents) as docs:
        report = asyncio.run(
            docs.sync(options.source, dry_run=options.dry_run, allow_mass_delete=options.allow_mass_delete)
        )
    if options.json:
        print_json(asdict(report))
    else:
        would = "would be " if report.dry_run else ""
        print(
            f"{report.listed:,} listed: {report.unchanged:,} unchanged, {report.changed:,} {would}changed, "
            f"{len(report.deleted):,} {would}deleted; {report.embedded:,} chunks {would}embedded, {report.kept:,} kept"
        )
        for id, reason in sorted(report.failed.items()):
            print(plain_text(f"{id}: {reason}"))
    return 1 if report.failed else 0


def search_documents(options: argparse.Namespace) -> int:
    """Show the chunks that are nearest to a text, each with the time since its source confirmed it."""
    from tickwork.documents.where import read_where  # noqa: PLC0415  only these commands need it

    with open_documents(options.documents) as docs:
        hits = asyncio.run(
            docs.search(
                options.text, options.k, where=read_where(options.where), source=options.source,
                max_age=options.max_age, on_stale=options.on_stale,
            )
        )  # fmt: skip
    if options.json:
        return print_json(_plain([asdict(hit) for hit in hits]))
    return print_table(
        ("SCORE", "SOURCE", "DOCUMENT", "CONFIRMED", "TEXT"),
        [
            (
                f"{hit.score:.2f}", hit.source, hit.doc_id,
                f"{say_duration(hit.freshness.age)} ago{', stale' if hit.freshness.stale else ''}",
                " ".join(hit.text.split())[:LONGEST_LINE],
            )
            for hit in hits
        ],
    )  # fmt: skip


def show_documents_status(options: argparse.Namespace) -> int:
    """Say how each source stands; exit code 1 if one was never synced, or not confirmed within its max_staleness."""
    with open_documents(options.documents) as docs:
        statuses = docs.status()
    if options.json:
        print_json(_plain([
            {**status._asdict(), "failed": [one._asdict() for one in status.failed]} for status in statuses
        ]))  # fmt: skip
    else:
        print_table(
            ("SOURCE", "CONFIRMED", "DOCUMENTS", "CHUNKS", "FAILED", "NOTE"),
            [
                (
                    status.name, "never" if status.lag is None else f"{say_duration(status.lag)} ago",
                    f"{status.documents:,}", f"{status.chunks:,}", f"{len(status.failed):,}",
                    "; ".join(filter(None, (_standing(status), status.error))),
                )
                for status in statuses
            ],
        )  # fmt: skip
    return 1 if any(_standing(status) for status in statuses) else 0


def _standing(status: SourceStatus) -> str:
    """What is wrong with what is searched of a source; empty if nothing is."""
    if status.last_ok is None:
        return "no sync of it has gone through yet"
    return "stale" if status.fresh is False else ""


def verify_documents(options: argparse.Namespace) -> int:
    """Compare the index with the catalogue; exit code 1 if they differ, and --repair was not given."""
    with open_documents(options.documents) as docs:
        drift = docs.verify(repair=options.repair)
    if drift is None:
        print("every vector is compared, so there is no index that could differ")
        return 0
    print(f"the index lacked {drift.missing:,} chunks, and had {drift.extra:,} that are none: ", end="")
    differs = bool(drift.missing or drift.extra)
    print("all is well" if not differs else "mended" if options.repair else "mend it with --repair")
    return 1 if differs and not options.repair else 0


def compact_documents(options: argparse.Namespace) -> int:
    """Give back the room of what no search can find any more, and say what could not be given back now."""
    with open_documents(options.documents) as docs:
        done = docs.compact()
    if options.json:
        return print_json(done._asdict())
    anew = [name for name, was in (("the index", done.rebuilt), ("the catalogue", done.vacuumed)) if was]
    print(f"{done.freed / 1e6:,.1f} MB freed: {done.chunks:,} chunks and {done.vectors:,} vectors let go", end="")
    print(f"; {' and '.join(anew)} written anew" if anew else "")
    for reason in done.left:
        print(plain_text(f"left: {reason}"))
    return 0


@contextmanager
def open_documents(target: str) -> Iterator[Documents]:
    """The documents at `module:name`, closed afterwards."""
    from tickwork.documents import Documents  # noqa: PLC0415  only these commands need them

    found = load(target, Documents, "documents", example="app.kb:docs")
    try:
        yield found
    finally:
        found.close()


def _plain(values: object) -> Any:
    """JSON of it: times in ISO 8601, durations in seconds."""
    return json.loads(json.dumps(values, default=_in_json))


def _in_json(value: Any) -> float | str:
    return value.total_seconds() if isinstance(value, timedelta) else str(value.isoformat())
