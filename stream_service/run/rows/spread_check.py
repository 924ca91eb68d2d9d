"""The check that the exposures of a row were taken at one position, group by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.spread import Place, SpreadJudge
from stream_service.core.stage_map import StageMap
from stream_service.text.counted import counted

Exposures = Sequence[Exposure]
"""Of a row."""
FlaggedGroup = tuple[Exposures, Flag]
"""`SPREAD` for a group that is not a single position, unless that is allowed; counted."""


class SpreadCheck:
    """Of the groups of one run whose exposures are combined."""

    def __init__(self, stage_map: StageMap, *, allow_spread: bool) -> None:
        """With `allow_spread` the exposures of a row may have been taken at more than one position."""
        self._stage_map = stage_map
        self._allow_spread = allow_spread
        self.judge = SpreadJudge()
        self.on_judged: Callable[[SpreadJudge], None] = lambda judge: None
        """Called after each group; what it raises ends the run."""
        self._first: Exposures | None = None
        """Waits for the second group, which says how far a step is."""

    def see(self, group: Exposures) -> Iterator[FlaggedGroup]:
        """Take a group; gives those that can be judged now, in order, with their flags."""
        places = self._places(group)
        self.judge.see(places)
        if self._first is None and self.judge.must_wait(places):
            self._first = group
            return
        yield from self.release()
        yield group, self._flags(places)

    def release(self) -> Iterator[FlaggedGroup]:
        """There may be no more: give the one that waits."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first, self._flags(self._places(first))

    def _flags(self, places: list[Place]) -> Flag:
        is_apart = self.judge.is_apart(places)
        self.on_judged(self.judge)
        return Flag.SPREAD if is_apart and not self._allow_spread else Flag.NONE

    def notes(self, frames_per_position: int) -> Iterator[str]:
        """The rows that are not at a single position, in a sentence."""
        judge = self.judge
        if judge.n_apart:
            what_is_done = "used, because that is allowed" if self._allow_spread else "flagged, and not used"
            yield (
                f"the exposures of {judge.n_apart} of {counted(judge.n_judged, 'row')} lie up to "
                f"{judge.widest_m * 1e6:.3g} um apart (limit {judge.limit_m * 1e6:.3g} um, a quarter of the usual "
                f"step): {'this row is' if judge.n_apart == 1 else 'these rows are'} {what_is_done}; is "
                f"{frames_per_position} the number of frames at a position?"
            )

    def _places(self, group: Exposures) -> list[Place]:
        """Position of each exposure on the sample."""
        return [self._stage_map.beam_on_sample(exposure.values["x"], exposure.values["y"]) for exposure in group]
