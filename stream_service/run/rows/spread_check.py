"""The check that the exposures of a row were taken at one position, group by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stream_service.core.exposure import Flag
from stream_service.core.grouping import Group
from stream_service.core.spread import Place, SpreadJudge
from stream_service.core.stage_map import StageMap
from stream_service.text.counted import counted


class SpreadCheck:
    """Of the groups of one run whose exposures are combined."""

    def __init__(self, stage_map: StageMap, *, allow_spread: bool) -> None:
        """With `allow_spread` the exposures of a row may have been taken at more than one position."""
        self._stage_map = stage_map
        self._allow_spread = allow_spread
        self.judge = SpreadJudge()
        self.on_judged: Callable[[SpreadJudge], None] = lambda judge: None
        """Called after each group; what it raises ends the run."""
        self._first: Group | None = None
        """Waits for the second group, which says how far a step is."""

    def see(self, group: Group) -> Iterator[Group]:
        """Take a group; gives those that can be judged now, in order: `SPREAD` is flagged, unless that is allowed."""
        places = self._places(group)
        self.judge.see(places)
        if self._first is None and self.judge.must_wait(places):
            self._first = group
            return
        yield from self.release()
        yield self.judged(group)

    def release(self) -> Iterator[Group]:
        """There may be no more: give the one that waits."""
        if self._first is not None:
            first, self._first = self._first, None
            yield self.judged(first)

    def judged(self, group: Group) -> Group:
        """A group with its flag, by the steps of those that were seen."""
        is_apart = self.judge.is_apart(self._places(group))
        self.on_judged(self.judge)
        return group._replace(flags=int(group.flags | Flag.SPREAD)) if is_apart and not self._allow_spread else group

    def notes(self, question: str) -> Iterator[str]:
        """The rows that are not at a single position, in a sentence that ends with this question."""
        judge = self.judge
        if judge.n_apart:
            what_is_done = "used, because that is allowed" if self._allow_spread else "flagged, and not used"
            yield (
                f"the exposures of {judge.n_apart} of {counted(judge.n_judged, 'row')} lie up to "
                f"{judge.widest_m * 1e6:.3g} um apart (limit {judge.limit_m * 1e6:.3g} um, a quarter of the usual "
                f"step): {'this row is' if judge.n_apart == 1 else 'these rows are'} {what_is_done}; "
                f"{question}"
            )

    def _places(self, group: Group) -> list[Place]:
        """Position of each exposure on the sample."""
        stage = [(exposure.values["x"], exposure.values["y"]) for exposure in group.exposures]
        return [self._stage_map.beam_on_sample(*place) for place in stage]
