"""The command line: `tickwork --help`.

The rule: a command that reads starts nothing and makes no file. What goes wrong is one line that says what
was expected, on stderr, and exit code 2.
"""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tickwork import __version__
from tickwork.backfill import MAX_BACKFILL_INSTANCES
from tickwork.cli.arguments import (
    A_DAY,
    STATES,
    Parser,
    age,
    check_command,
    check_text,
    day,
    duration,
    entry,
    json_list,
    json_object,
    name,
    refuse_unknown,
    state,
    user_name,
    whole,
)
from tickwork.cli.changing import backfill, cancel, cancel_backfill, pause, prune, remove, resume, retry, run_now
from tickwork.cli.documents import add_document_commands
from tickwork.cli.inside import show_log, show_state
from tickwork.cli.moving import move
from tickwork.cli.previewing import show_next
from tickwork.cli.reading import show_backfills, show_health, show_jobs, show_nodes, show_runs, show_schema, show_why
from tickwork.cli.running import run
from tickwork.cli.serving import serve
from tickwork.cli.sessions import add_session_commands
from tickwork.cli.tables import plain_text
from tickwork.errors import TickworkError
from tickwork.retention import MAX_COUNT

MAX_ROWS = 10_000

EXIT_CODES = """
exit codes:
  0  done; for `run` and `serve`: stopped as asked, and every job ended in time
  1  `run` was stopped, and jobs that still ran at the end of --timeout were cut short;
     or `health` found no living node that fires, a job that is overdue, or a store that has moved;
     or `docs` found a source that is stale, documents that could not be taken in, or an index that differs
  2  it could not be done; the one line on stderr says why
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; return the exit code."""
    try:
        options = read_command_line(sys.argv[1:] if arguments is None else arguments)
        code: int = options.do(options)
        sys.stdout.flush()
        return code
    except TickworkError as error:
        print(f"tickwork: {plain_text(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader has seen enough: `tickwork runs ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def read_command_line(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its options; UsageError if they make no sense."""
    parser = Parser(
        prog="tickwork", description="Jobs on a schedule, and the ledger of their runs.", epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"tickwork {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    target = ("target", "MODULE:SCHEDULER", "where the scheduler is, or a function that makes it: app.jobs:scheduler")
    store = (
        "store", "STORE",
        "sqlite:///jobs.db, postgresql://... or redis://..., or MODULE:SCHEDULER for the store of that scheduler",
    )  # fmt: skip
    job = ("job", "JOB", "the job's id")
    run_id = ("run", "RUN", "the run's id, as `tickwork runs` shows it")

    def command(
        name: str, do: Callable[[argparse.Namespace], int], *positionals: tuple[str, str, str], among: Any = commands
    ) -> Callable[..., argparse.Action]:
        said = inspect.getdoc(do) or ""
        added: Parser = among.add_parser(
            name, help=said.partition("\n")[0].rstrip("."), description=said, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        added.set_defaults(do=do, command=added.prog.partition(" ")[2], parser=added)
        for attribute, metavar, meaning in positionals:
            added.add_argument(attribute, metavar=metavar, help=meaning)
        add: Callable[..., argparse.Action] = added.add_argument
        return add

    patience = partial(duration, most=A_DAY)
    option = command("run", run, target)
    option(
        "--timeout",
        type=patience,
        default="30",
        metavar="LENGTH",
        help="what jobs get to end; default 30s",
    )

    option = command("serve", serve, target)
    option("--host", default="127.0.0.1", help="default 127.0.0.1: this machine alone")
    option("--port", type=partial(whole, least=1, most=65535), default=8000, help="default 8000")
    option("--workers", type=partial(whole, least=1, most=1000), default=1, metavar="N", help="processes; default 1")
    option(
        "--timeout",
        type=patience,
        default="30",
        metavar="LENGTH",
        help="what jobs get to end; default 30s",
    )
    option("--unprotected", action="store_true", help="let everyone who can reach the port do everything")

    def label(option: Callable[..., argparse.Action]) -> None:
        option("--tag", action="append", default=[], metavar="TAG", help="with this tag; may be given several times")
        option(
            "--metadata", type=entry, action="append", default=[], metavar="KEY=VALUE", help="with this entry; likewise"
        )

    def name_jobs(option: Callable[..., argparse.Action]) -> None:
        option("job", nargs="?", metavar="JOB", help="the job's id")
        label(option)

    option = command("jobs", show_jobs, store)
    label(option)
    option("--utc", action="store_true", help="times in UTC, not in the local zone")
    option("--json", action="store_true", help="for programs; times in UTC, durations in seconds")

    option = command("runs", show_runs, store)
    option("--job", metavar="ID", help="of this job alone")
    option("--state", type=state, action="append", default=[], help=f"{STATES}; may be given several times")
    option("--limit", type=partial(whole, least=1, most=MAX_ROWS), default=20, metavar="N", help="default 20")
    option("--utc", action="store_true", help="times in UTC, not in the local zone")
    option("--json", action="store_true", help="for programs; times in UTC, durations in seconds")

    option = command("log", show_log, store, run_id)
    option("--utc", action="store_true", help="times in UTC, not in the local zone")
    option("--json", action="store_true", help="for programs; times in UTC")

    command("state", show_state, store, job)

    option = command("why", show_why, store, job, ("time", "TIME", "such as '2026-12-24 18:00', or '18:00' for today"))
    option("--tz", default=None, metavar="ZONE", help="the zone of times, such as Asia/Seoul")
    option("--json", action="store_true", help="for programs; times in UTC, durations in seconds")

    option = command("nodes", show_nodes, store)
    option("--alive", action="store_true", help="only those that are alive")
    option("--utc", action="store_true", help="times in UTC, not in the local zone")
    option("--json", action="store_true", help="for programs; times in UTC, durations in seconds")

    option = command("health", show_health, store)
    option("--json", action="store_true", help="for programs; times in UTC, durations in seconds")

    option = command("next", show_next, ("when", "WHEN", "a cron, 'every 10m', JSON; or a STORE, beside --job"))
    option("--job", metavar="ID", help="the fire times of this job, in the STORE that stands for WHEN")
    option("--tz", default=None, metavar="ZONE", help="the zone of the cron, such as Asia/Seoul (default UTC)")
    option("-n", dest="count", type=partial(whole, least=1, most=MAX_ROWS), default=5, metavar="N", help="default 5")
    option("--after", metavar="TIME", help="such as '2026-12-24 18:00'; default now")
    option("--day", type=day, metavar="DATE", help="all fire times of this day instead")
    option(
        "--explain", nargs="?", const="en", choices=("en", "ko"), metavar="LANGUAGE", help="a sentence first: en, ko"
    )
    option("--compare", metavar="WHEN", help="how another trigger would differ instead")
    option("--days", type=partial(whole, least=1, most=3660), default=30, metavar="N", help="compared; default 30")
    option("--exclude", action="append", default=[], metavar="WHAT", help="leave these out")
    option("--only", action="append", default=[], metavar="WHAT", help="leave all others out")
    option("--include", action="append", default=[], metavar="WHAT", help="but never leave these out")
    option("--shift", choices=("next", "previous"), help="move a day that is left out to this one that is kept")
    option("--jitter", type=duration, metavar="LENGTH", help="up to so much later, such as 30s")
    option("--seed", default="", metavar="ID", help="the job's id, which decides its jitter")
    option("--json", action="store_true", help="for programs")

    by = {"type": name, "default": user_name(), "metavar": "NAME", "help": "who asks for it; default %(default)s"}
    option = command("pause", pause, store)
    name_jobs(option)
    option("--reason", metavar="TEXT", help="kept with the job, for people")
    option("--by", **by)
    option = command("resume", resume, store)
    name_jobs(option)
    option("--by", **by)
    option = command("run-now", run_now, store, job)
    option("--args", type=json_list, metavar="JSON", help="a list, in place of the job's arguments by position")
    option("--kwargs", type=json_object, metavar="JSON", help="an object, in place of the job's arguments by name")
    option("--expire-after", type=duration, metavar="LENGTH", help="how long it may wait to begin, such as 10m")
    option("--by", **by)
    option = command("cancel", cancel, store, run_id)
    option("--reason", metavar="TEXT", help="kept with the run, for people")
    option("--by", **by)
    option = command("retry", retry, store, run_id)
    option("--even-if-succeeded", action="store_true", help="also one that succeeded")
    option("--by", **by)
    start, end = ("start", "START", "the first instant that counts"), ("end", "END", "the last instant that counts")
    option = command("backfill", backfill, store, job, start, end)
    instances = partial(whole, least=1, most=MAX_BACKFILL_INSTANCES)
    option("--max-instances", type=instances, default=1, metavar="N", help="how many at once; default 1")
    option("--everything", action="store_true", help="also the fire times that ran")
    option("--newest-first", action="store_true", help="the latest fire time first")
    option("--args", type=json_list, metavar="JSON", help="a list, in place of the job's arguments by position")
    option("--kwargs", type=json_object, metavar="JSON", help="an object, in place of the job's arguments by name")
    option("--tz", default=None, metavar="ZONE", help="the zone of times, such as Asia/Seoul")
    option("--by", **by)
    option = command("backfills", show_backfills, store)
    option("--job", metavar="ID", help="of this job alone")
    option("--limit", type=partial(whole, least=1, most=MAX_ROWS), default=20, metavar="N", help="default 20")
    option("--utc", action="store_true", help="times in UTC, not in the local zone")
    option("--json", action="store_true", help="for programs; times in UTC")
    option = command("cancel-backfill", cancel_backfill, store, ("backfill", "BACKFILL", "its id"))
    option("--reason", metavar="TEXT", help="kept with the backfill and its runs, for people")
    option("--by", **by)
    command("remove", remove, store, job)

    option = command("prune", prune, store)
    option("--age", type=age, metavar="LENGTH", help="such as 30d, 12h or '1w 12h'")
    count = partial(whole, least=1, most=MAX_COUNT)
    option("--count", type=count, metavar="N", help="how many rows each job keeps")

    old = ("old", "OLD", "where the jobs are: sqlite:///jobs.db, postgresql://... or redis://...")
    option = command("move", move, old, ("new", "NEW", "where they go: an empty store"))
    option("--dry-run", action="store_true", help="say what would be moved, and whether it can be; move nothing")
    option("--abort", action="store_true", help="undo a move that was broken off, as long as NEW does not fire")
    option("--wait", type=patience, default="1m", metavar="LENGTH", help="what runs get to end; default 1m")
    option("--json", action="store_true", help="for programs; the pause in seconds")

    said = "List, end and sweep sessions"
    sessions = commands.add_parser("sessions", help=said, description=f"{said}.", allow_abbrev=False)
    add_session_commands(partial(command, among=sessions.add_subparsers(metavar="COMMAND", required=True)))

    option = command("schema", show_schema, ("kind", "KIND", "postgresql, or documents"))
    option("--schema", metavar="NAME", help="where the tables go; default: the first of the search path")
    option(
        "--after", type=partial(whole, least=0, most=999), default=0, metavar="VERSION", help="of the tables there are"
    )

    said = "Documents: sync a source, search, see how the sources stand, verify the index"
    documents = commands.add_parser("docs", help=said, description=f"{said}.", allow_abbrev=False)
    add_document_commands(partial(command, among=documents.add_subparsers(metavar="COMMAND", required=True)))

    check_text(arguments)
    check_command(arguments, commands.choices)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        refuse_unknown(unknown[0], options.command, options.parser.options)
    return options
