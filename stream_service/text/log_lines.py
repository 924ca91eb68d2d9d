"""Log lines of the daemon: to a terminal for the eye, else single lines with date, time and level.

A traceback, or a sentence with line ends, is one line there, too: whoever reads a log by lines loses nothing.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys

from rich.logging import RichHandler

from stream_service.text.log_rate import LogRate
from stream_service.text.printable import printable
from stream_service.text.terminal import errors

NOT_WORTH_LOGGING = (
    "beacon",  # caproto: a traceback for every beacon that nobody takes; without a CA repeater nobody does
    "considerable memory",  # caproto: many subscribers of `Request`; see publishers/ca_clients.py
    "High load",  # caproto: a client that does not keep up has the latest values only; it is meant to
)


class LogLine(logging.Formatter):
    """One line per record, `2026-11-28 18:00:00.123 WARNING text`; line ends within it are ` | `."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record and its traceback, if it has one."""
        return printable(" | ".join(line for line in super().format(record).splitlines() if line.strip()))


def is_worth_logging(record: logging.LogRecord) -> bool:
    """False for what other libraries say of things that are as they should be."""
    return not any(words in str(record.msg) for words in NOT_WORTH_LOGGING)


PVXS_LEVELS = "pvxs.tcp.io=CRIT"
"""pvxs calls it an error that a server on the way is not up; who does not answer is told by us."""


def quiet_pvxs() -> None:
    """To be called before p4p is imported; what the user has set counts."""
    os.environ.setdefault("PVXS_LOG", PVXS_LEVELS)


def log_to_stderr(*, verbose: bool) -> None:
    """Log warnings of all, and what we do; with `verbose` more of that. To be called before p4p is imported."""
    quiet_pvxs()
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=errors, show_path=False, markup=False)
        handler.setFormatter(logging.Formatter("%(message)s", "[%X]"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(LogLine())
    handler.addFilter(is_worth_logging)
    rate = LogRate(handler)
    handler.addFilter(rate)
    atexit.register(rate.tell)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("stream_service").setLevel(logging.DEBUG if verbose else logging.INFO)
