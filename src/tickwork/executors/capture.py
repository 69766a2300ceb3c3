"""What a run logs through `logging`, kept with it: from any logger, on any thread that has the run's context.

The rule: whatever a run logs, it costs a bounded amount of memory, and nothing that fails here reaches who logged.

Records are taken where they are made, by the process's record factory, and not by a handler: a handler at the root
would make `logging.basicConfig` do nothing, silence Python's last resort, and go with the next `dictConfig`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Never, TypeAlias

from tickwork.clock import Clock
from tickwork.runlog import LogLine, RunLog

BEGINNING_LENGTH = 16 * 1024
"""Characters of a log that are kept from its first line on."""
END_LENGTH = 48 * 1024
"""Characters that are kept before its last line, when there are more."""
MAX_LINE_LENGTH = 8 * 1024
"""A longer message or traceback loses its middle."""
MAX_NAME_LENGTH = 200
LINE_COST = 50
"""Characters that a line counts for besides its text."""

Whose: TypeAlias = "Callable[[int], LogBuffer | None]"
"""Given the level of a record that is made here and now: where it is kept. None: it is not."""

_format = logging.Formatter()
_installing = threading.Lock()
_installed: list[Whose] = []


class OfThisThread(threading.local):
    keeping: bool = False
    """Whether a record is being kept: what is logged by writing it down, by a __str__ or a __del__, is not."""


_of_this_thread = OfThisThread()


class LogBuffer:
    """The lines of one run so far."""

    __slots__ = ("_beginning", "_clock", "_end", "_end_length", "_left_out", "_lock", "_news", "_room")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # taken again by what the garbage collector may call inside
        self._beginning: list[LogLine] = []
        self._room = BEGINNING_LENGTH
        self._end: deque[LogLine] = deque()
        self._end_length = 0
        self._left_out = [0, 0]
        self._news = False

    def add(self, record: logging.LogRecord) -> None:
        self.keep(
            _cut(str(record.levelname), MAX_NAME_LENGTH), _cut(record.name, MAX_NAME_LENGTH),
            _cut(_text(record), MAX_LINE_LENGTH),
        )  # fmt: skip

    def keep(self, level: str, logger: str, text: str) -> None:
        """A line that is made now, of texts that every store can write."""
        line = LogLine(self._clock.now(), level, logger, text)
        length = len(line.text) + LINE_COST
        with self._lock:
            self._news = True
            if length <= self._room:
                self._room -= length
                self._beginning.append(line)
                return
            self._room = 0  # what is longer than the rest of the beginning ends it
            self._end.append(line)
            self._end_length += length
            while self._end_length > END_LENGTH:
                dropped = self._end.popleft()
                self._end_length -= len(dropped.text) + LINE_COST
                self._left_out = [self._left_out[0] + 1, self._left_out[1] + len(dropped.text)]

    def so_far(self) -> RunLog:
        """What is kept of the log at this moment."""
        with self._lock:
            self._news = False
            return RunLog((*self._beginning,), (*self._end,), *self._left_out)

    def news(self) -> RunLog | None:
        """The same; None if nothing was logged since it was last asked for."""
        return self.so_far() if self._news else None


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of a run's function, whose lines from *least* on are kept even where its level drops them.

    Handlers are asked as they always are; records carry `job` and `run`, for formats that show them.
    """

    def __init__(self, logger: logging.Logger, least: int | None, fields: Mapping[str, object]) -> None:
        super().__init__(logger, fields)
        self._least = least

    def __call__(self, *_: Any) -> Never:
        raise TypeError("run.log: expected a level, got a call of the logger itself: write run.log.info(...)")

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  the name that `logging` gave it
        return self.logger.isEnabledFor(level) or (self._least is not None and level >= self._least)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(self.extra or {}), **(kwargs.get("extra") or {})}}

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.logger.isEnabledFor(level):
            _, kwargs = self.process(msg, kwargs)  # type: ignore[assignment]
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            self.logger.log(level, msg, *args, **kwargs)
        elif self.isEnabledFor(level):  # made, and thereby kept, and handed to nobody
            raised = _exc_info(kwargs.get("exc_info"))
            self.logger.makeRecord(self.logger.name, level, "(unknown file)", 0, msg, args, raised)  # type: ignore[arg-type]


def capture_logs(whose: Whose) -> None:
    """From now on keep what is logged in this process, where *whose* says. Only the first call does anything."""
    if _installed:
        return
    with _installing:
        if not _installed:
            logging.setLogRecordFactory(_keeping(logging.getLogRecordFactory(), whose))
            _installed.append(whose)


def _keeping(make: Callable[..., logging.LogRecord], whose: Whose) -> Callable[..., logging.LogRecord]:
    """A record factory that makes records as *make* does, and keeps them."""

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        buffer = whose(record.levelno) if record.levelno else None  # one without is a copy from elsewhere
        if buffer is not None and not _of_this_thread.keeping and not _is_own(record.name):
            _of_this_thread.keeping = True
            try:
                buffer.add(record)
            finally:
                _of_this_thread.keeping = False
        return record

    return factory


def _is_own(logger: str) -> bool:
    """Whether tickwork itself logs: what it says of the run stands in the ledger."""
    return logger == "tickwork" or logger.startswith("tickwork.")


def _text(record: logging.LogRecord) -> str:
    """The message and the traceback of a record, whatever its arguments do when they are written."""
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001  a __str__ is anybody's code
        template = record.msg if type(record.msg) is str else type(record.msg).__name__
        text = f"{template[:MAX_NAME_LENGTH]} (cannot be written with its arguments: {type(error).__name__})"
    if record.exc_info and record.exc_info[0] is not None:
        try:
            text += "\n" + _format.formatException(record.exc_info)
        except Exception as error:  # noqa: BLE001
            text += f"\n(its traceback cannot be written: {type(error).__name__})"
    return f"{text}\n{record.stack_info}" if record.stack_info else text


def _cut(text: str, most: int) -> str:
    """*text* as every store can write it, without its middle if it is longer than *most*."""
    if len(text) > most:
        half = most // 2 - 30
        text = f"{text[:half]} ... {len(text) - 2 * half:,} characters left out ... {text[-half:]}"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _exc_info(raised: object) -> object:
    """What `logging` makes of `exc_info=`."""
    if isinstance(raised, BaseException):
        return type(raised), raised, raised.__traceback__
    return raised if isinstance(raised, tuple) or not raised else sys.exc_info()
