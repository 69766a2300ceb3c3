"""Reports: a page of Markdown for each day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from examples.service.database import connect
from examples.service.settings import VAR

FOLDER = VAR / "reports"
GIGABYTE = 1_000_000_000
SUMMARY = """
select count(*) as samples, avg(load) as load, max(load) as peak, max(memory_used) as memory, max(disk_used) as disk
from samples where taken_at like ?
"""


def write(day: date) -> Path:
    """Sum up the samples of *day*; a report that exists already is written anew."""
    with connect() as connection:
        summary = connection.execute(SUMMARY, (f"{day.isoformat()}T%",)).fetchone()
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{day.isoformat()}.md"
    path.write_text(
        f"# {day:%A, %d %B %Y}\n\n"
        f"| | |\n|---|---|\n"
        f"| samples | {summary['samples']} |\n"
        f"| load | {summary['load'] or 0:.2f} on average, {summary['peak'] or 0:.2f} at most |\n"
        f"| memory | {(summary['memory'] or 0) / GIGABYTE:.2f} GB at most |\n"
        f"| disk | {(summary['disk'] or 0) / GIGABYTE:.2f} GB at most |\n"
    )
    return path


def read_all() -> dict[str, str]:
    """The reports by their days, the latest first."""
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"), reverse=True)}
