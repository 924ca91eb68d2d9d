"""Silence about waits that end while something else is watched, which bluesky would report as errors.

A RunEngine (1.15.1, `RunEngine._wait`) cancels the task that watches when the wait is over, and its own callback then
asks the cancelled task for its exception: asyncio logs `CancelledError` with a traceback at each wait, and nothing is
wrong. Any other message of asyncio, and any other error in that callback, is let through.
"""

from __future__ import annotations

import asyncio
import logging

CALLBACK = "RunEngine._wait.<locals>.cancel_status_task_if_error"


class _NoCancelledWatch(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        is_cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not (is_cancelled and CALLBACK in record.getMessage())


_FILTER = _NoCancelledWatch()


def silence_cancelled_watches() -> None:
    """From now on, in this process; once more does nothing."""
    logging.getLogger("asyncio").addFilter(_FILTER)
