"""Progress of a long command: a bar where a person looks on, else a line now and then; on standard error.

Standard output is for what came of the work, so that it can be kept in a file or piped. A bar needs a terminal that can
move its cursor; whatever else takes standard error gets whole lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from stream_service.text.counted import counted
from stream_service.text.terminal import NOTE, Terminal, console, errors

LINE_S = 10.0
"""A line is written at least so often,"""
PARTS = 10
"""and whenever another one of so many parts of the work is done,"""
CLOSEST_S = 2.0
"""but not more often than this; work that is shorter says nothing."""


class Progress:
    """One piece of work; ends what it shows with the `with` block."""

    def __init__(
        self, unit: str, what: str = "", *, heading: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`unit` is what is counted, in the singular; `what` is being done, until `update` says something else.

        `heading` comes before the first line of the result: work that fails has none, and says its error alone.
        """
        self._unit, self._what, self._heading, self._clock = unit, what, heading, clock
        self._said_s: float | None = None
        self._said_parts = 0
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._both_seen = sys.stdout.isatty() and sys.stderr.isatty()
        self._bars: Bars | None = None
        if sys.stderr.isatty() and not errors.is_dumb_terminal:
            self._bars = Bars(*columns, console=errors, transient=True, redirect_stdout=self._both_seen)
            self._task = self._bars.add_task(what, total=None, more=f"{unit}s")

    def update(self, done: int, total: int | None, *, what: str = "", more: str = "") -> None:
        """So much of it is done; `more` is worth knowing beside."""
        self._what = what or self._what
        if self._bars is not None:
            about = f"{self._unit}s, {more}" if more else f"{self._unit}s"
            self._bars.update(self._task, description=self._what, completed=done, total=total, more=about)
            return
        now_s, parts = self._clock(), PARTS * done // total if total else 0
        if self._said_s is None:  # what comes before the first is getting ready, and often the longest step
            self._said_s = now_s
        since_s = now_s - self._said_s
        if since_s < CLOSEST_S or (since_s < LINE_S and parts <= self._said_parts):
            return
        self._said_s, self._said_parts = now_s, parts
        so_far = f"{done} of {counted(total, self._unit)}" if total else counted(done, self._unit)
        errors.print(f"{self._what}: {so_far}" + (f", {more}" if more else ""), soft_wrap=True)

    def note(self, text: str) -> None:
        """A sentence of the result that is known before the end: on standard output."""
        self.head()
        self._result.print(NOTE, text, soft_wrap=True)

    def head(self) -> None:
        """The heading, if it has not come yet."""
        if self._heading:
            self._result.print(self._heading, soft_wrap=True)
            self._heading = ""

    @property
    def _result(self) -> Terminal:
        """Above the bar, where there is one on the same screen."""
        return errors if self._bars is not None and self._both_seen else console

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()
