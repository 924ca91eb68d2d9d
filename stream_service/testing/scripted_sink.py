"""A sink that keeps what a run gives it, and fails where a script says: to see that the run and its file do not."""

from __future__ import annotations

from collections.abc import Callable

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome


def do_nothing() -> None:
    """What a script does where nothing is to happen."""


class ScriptedSink:
    """A `Sink`. What is to happen in `append`, `flush` and `finish` is a function each, which may raise."""

    def __init__(
        self,
        name: str = "the scripted sink",
        *,
        on_append: Callable[[], None] = do_nothing,
        on_flush: Callable[[], None] = do_nothing,
        on_finish: Callable[[], None] = do_nothing,
    ) -> None:
        self.name = name
        self.unique_ids: list[int] = []
        """Of the first frame of each row so far."""
        self.pixel_sums: list[float] = []
        """Of each row so far."""
        self.calls: list[str] = []
        """Names of the methods that were called, in order."""
        self.outcomes: list[RunOutcome] = []
        """How the run has ended, as often as that was said."""
        self._on_append, self._on_flush, self._on_finish = on_append, on_flush, on_finish

    def append(self, block: RowBlock) -> None:
        """See `Sink`."""
        self.calls.append("append")
        self._on_append()
        self.unique_ids += block.rows["unique_id"][:, 0].tolist()
        self.pixel_sums += block.pixels.sum(axis=(1, 2)).tolist()

    def flush(self) -> None:
        """See `Sink`."""
        self.calls.append("flush")
        self._on_flush()

    def finish(self, outcome: RunOutcome) -> None:
        """See `Sink`."""
        self.calls.append("finish")
        self.outcomes.append(outcome)
        self._on_finish()
