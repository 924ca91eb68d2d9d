"""The run that a line of the log is about: told by the context of the thread that writes it.

A thread of a run, and each that it starts by `in_this_context`, is in the context of its run; a main loop enters it for
what it says of one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(slots=True)
class LoggedRun:
    """A run as lines of the log name it."""

    scan_id: str
    number: int | None = None
    """None until the service has given it one."""

    @contextmanager
    def lines(self) -> Iterator[None]:
        """Within, what this thread logs is about this run."""
        token = _run.set(self)
        try:
            yield
        finally:
            _run.reset(token)


_run: ContextVar[LoggedRun | None] = ContextVar("_run", default=None)


def in_this_context(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a thread to be started: what it logs is about the run that this thread's lines are about."""
    return partial(copy_context().run, work)


class RunOfRecord(logging.Filter):
    """Give each record `scan_id` and `run`, None where it is about no run; those of a record that has them stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True: every record passes."""
        if not hasattr(record, "scan_id"):
            run = _run.get()
            found = {"scan_id": None, "run": None} if run is None else {"scan_id": run.scan_id, "run": run.number}
            record.__dict__.update(found)
        return True
