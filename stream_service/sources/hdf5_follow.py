"""Following a recording that is still being written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Follow:
    """How a growing file is followed."""

    patience_s: float
    """After so long without anything new, what is there is taken to be all."""
    poll_s: float = 0.1
    """Between two looks at the file."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    on_wait: Callable[[], None] = _nothing
    """Called at every look that found nothing new."""
