"""Log lines of the daemon: to a terminal for the eye, else single lines with date, time and level, or JSON objects.

A traceback, or a sentence with line ends, is one line there, too: whoever reads a log by lines loses nothing.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
from datetime import datetime
from enum import StrEnum
from typing import Any

from rich.logging import RichHandler

from stream_service.text.journal import WithPriority, is_journal
from stream_service.text.log_of_run import RunOfRecord
from stream_service.text.log_rate import LogRate
from stream_service.text.printable import printable
from stream_service.text.terminal import errors
from stream_service.text.unread_output import leave_out_what_nobody_reads

NOT_WORTH_LOGGING = (
    "beacon",  # caproto: a traceback for every beacon that nobody takes; without a CA repeater nobody does
    "considerable memory",  # caproto: many subscribers of `Request`; see publishers/ca_clients.py
    "High load",  # caproto: a client that does not keep up has the latest values only; it is meant to
)


STDERR = 2
MOST_CHARACTERS = 20_000
"""Of a sentence, or a traceback."""


class LogFormat(StrEnum):
    """What a line is."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """What is logged: lines of this level and of those before it."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"

    @property
    def number(self) -> int:
        """As `logging` has it."""
        return logging.getLevelNamesMapping()[self.upper()]


def bounded(text: str) -> str:
    """The text, or its begin and how long it is: what others sent may stand in a record."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ... ({len(text)} characters)"


class WithRun(logging.Formatter):
    """The scan of a record at the end of its sentence, in brackets, where the sentence does not name it itself."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The sentence, before any traceback."""
        text, scan_id = bounded(super().formatMessage(record)), getattr(record, "scan_id", None)
        return text if not scan_id or scan_id in text else f"{text} [{scan_id}]"

    def formatException(self, ei: Any) -> str:
        """The traceback."""
        return bounded(super().formatException(ei))


class LogLine(WithRun):
    """One line per record, `2026-11-28 18:00:00.123 WARNING text`; line ends within it are ` | `."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record and its traceback, if it has one."""
        return printable(" | ".join(line for line in super().format(record).splitlines() if line.strip()))


class LogObject(logging.Formatter):
    """One JSON object per record and line; `run`, `scan_id` and `exception` are null where there is none."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object."""
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        found = {
            "time": time,
            "level": record.levelname,
            "logger": record.name,
            "message": bounded(record.getMessage()),
            "run": getattr(record, "run", None),
            "scan_id": getattr(record, "scan_id", None),
            "exception": bounded(self.formatException(record.exc_info)) if record.exc_info else None,
        }
        return json.dumps(found)


def is_worth_logging(record: logging.LogRecord) -> bool:
    """False for what other libraries say of things that are as they should be."""
    return not any(words in str(record.msg) for words in NOT_WORTH_LOGGING)


PVXS_LEVELS = "pvxs.tcp.io=CRIT"
"""pvxs calls it an error that a server on the way is not up; who does not answer is told by us."""


def quiet_pvxs() -> None:
    """To be called before p4p is imported; what the user has set counts."""
    os.environ.setdefault("PVXS_LOG", PVXS_LEVELS)


def log_to_stderr(*, verbose: bool, form: LogFormat = LogFormat.TEXT, level: LogLevel = LogLevel.INFO) -> None:
    """Log warnings of all, and what we do; with `verbose` more of that. To be called before p4p is imported.

    From then on nobody who writes to standard error waits for its reader.
    """
    quiet_pvxs()
    leave_out_what_nobody_reads()
    handler: logging.Handler
    if form is LogFormat.TEXT and sys.stderr.isatty():
        handler = RichHandler(console=errors, show_path=False, markup=False)
        handler.setFormatter(WithRun("%(message)s", "[%X]"))
    else:
        lines = LogObject() if form is LogFormat.JSON else LogLine()
        handler = logging.StreamHandler()
        handler.setFormatter(WithPriority(lines) if is_journal(STDERR) else lines)
    handler.addFilter(is_worth_logging)
    handler.addFilter(RunOfRecord())  # before a line waits: it is written by another thread then
    rate = LogRate(handler)
    handler.addFilter(rate)
    atexit.register(rate.tell)
    logging.basicConfig(handlers=[handler])
    set_log_level(LogLevel.DEBUG if verbose else level)


def set_log_level(level: LogLevel) -> None:
    """From now on; may be called in a signal handler. Of other libraries only warnings and errors are ever logged."""
    logging.getLogger().setLevel(max(level.number, logging.WARNING))
    logging.getLogger("stream_service").setLevel(level.number)


def step_log_level(steps: int) -> LogLevel:
    """The level so many steps on (more) or back, and set; the last one stays where there is no more."""
    levels = list(LogLevel)
    now = logging.getLogger("stream_service").getEffectiveLevel()
    place = next((n for n, level in enumerate(levels) if level.number == now), 0)
    level = levels[min(max(place + steps, 0), len(levels) - 1)]
    set_log_level(level)
    return level
