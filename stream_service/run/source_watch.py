"""A watch on what a run listens to: PVs that do not answer, and a detector whose frames do not arrive.

Nothing here ends a run; it says in a sentence what is wrong, as soon as it is seen, and takes it back afterwards.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from stream_service.run.sources import Sources

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""Between two looks at the connections, which cost no network."""
QUIET_S = 3.0
"""Without a frame for this long, the detector's counter is asked whether there should have been one."""
MOST_NAMED = 5


class SourceWatch:
    """The sources of one run, looked at now and then."""

    def __init__(self, sources: Sources, gone_s: float) -> None:
        self.problem = ""
        """What is wrong now, in a sentence; empty if nothing is."""
        self.answers = True
        """False while the detector itself does not answer."""
        self._sources = sources
        self._gone_s = gone_s
        self._looked_s = self._asked_s = -math.inf
        self._missing = ""

    def look(self, now_s: float, quiet_s: float, *, is_waiting: bool, n_missing: Callable[[], int | None]) -> None:
        """Look at the sources, if it is time to.

        `quiet_s` is the time since the last frame; `is_waiting` says that none has come yet; `n_missing` asks the
        detector how many frames it has made that did not arrive (None: it cannot tell).
        """
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        silent = self._sources.silent()
        self.answers = self._sources.detector_answers
        if quiet_s < QUIET_S:
            self._missing = ""
        elif now_s - self._asked_s >= QUIET_S and self.answers:
            self._asked_s = now_s
            n = n_missing()
            self._missing = self._sources.missing_problem(n, is_first=is_waiting) if n else ""
        problem = self._describe_silent(silent) or self._missing or (self._sources.stream_problem if is_waiting else "")
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem

    def find_all(self) -> None:
        """No frame is missing any more."""
        if self.problem == self._missing:
            self.problem = ""

    def _describe_silent(self, silent: list[str]) -> str:
        if not silent:
            return ""
        names = ", ".join(silent[:MOST_NAMED]) + (f" and {len(silent) - MOST_NAMED} more" * (len(silent) > MOST_NAMED))
        text = f"no answer from {names}: is the IOC running?"
        return text if self.answers else f"{text} The run ends unless the detector is back within {self._gone_s:g} s"
