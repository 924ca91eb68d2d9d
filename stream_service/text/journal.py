"""The journal of systemd, which takes the priority of a line from `<N>` at its begin (`sd-daemon(3)`).

So `journalctl -p warning` finds warnings. Without it all that a service writes has one priority, 6.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

STREAM = "JOURNAL_STREAM"
PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6}
"""Those of syslog, by the least level that has them."""
OF_DEBUG = 7


def is_journal(descriptor: int, environment: Mapping[str, str] = os.environ) -> bool:
    """True if the journal takes what is written there: systemd names its device and inode in the environment."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get(STREAM) == f"{found.st_dev}:{found.st_ino}"


class WithPriority(logging.Formatter):
    """Lines of another formatter, one a record, each with its priority."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        priority = next((n for level, n in PRIORITIES.items() if record.levelno >= level), OF_DEBUG)
        return f"<{priority}>{self._lines.format(record)}"
