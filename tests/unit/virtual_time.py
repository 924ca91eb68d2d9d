"""A time of our own for what runs in an event loop: to wait costs none, and a machine that is held up changes none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

START_NS = 1_800_000_000_000_000_000


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop that never waits for a timer: its time jumps to the next one. It is also a module `time`."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__()
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout_s: float | None = None) -> Any:
            self._now_s += timeout_s or 0.0
            return select(timeout_s and 0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        """The time of the loop's timers, in s."""
        return self._now_s

    def time_ns(self) -> int:
        """The same as Unix time."""
        return START_NS + round(1e9 * self._now_s)

    def run(self, scenario: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end, and close."""
        with asyncio.Runner(loop_factory=lambda: self) as runner:
            return runner.run(scenario)
