"""The first exposures of a run, kept back until they tell which pixels hold a marker and no measurement.

Nearly no frame has values that may be markers: then nothing waits. Else, and if the first one was never written (all
0), the first `FIRST_FRAMES` are looked at together, so that gaps are masked from the first row on; what is decided then
holds for the whole run.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_service.core.exposure import Exposure
from stream_service.kernels import FIRST_FRAMES, Gaps, GapSetting, find_gaps, may_have_gaps
from stream_service.kernels.gaps import is_blank

MOST_BYTES = 128 << 20
"""Of frames kept back: two of the largest detectors."""


class FirstFrames:
    """Exposures until the gaps are known."""

    def __init__(self, setting: GapSetting) -> None:
        self._setting: GapSetting = setting
        self._kept: list[Exposure] = []
        self._n_bytes = 0
        self.gaps: Gaps | None = None
        """What was found; None while it is not known, or where there is nothing to find."""

    def add(self, exposures: Sequence[Exposure]) -> list[Exposure]:
        """Take exposures; gives all that are kept, and those of them that are not needed, once the gaps are known."""
        for n, exposure in enumerate(exposures, 1):
            self._kept.append(exposure)
            self._n_bytes += exposure.frame.pixels.nbytes
            if len(self._kept) == 1 and not self._must_wait(exposure):
                return [*self._take(), *exposures[n:]]
            if len(self._kept) >= FIRST_FRAMES or (len(self._kept) > 1 and self._n_bytes > MOST_BYTES):
                return [*self.end(), *exposures[n:]]
        return []

    def end(self) -> list[Exposure]:
        """There are no more, or enough: decide by those that are kept."""
        if self._kept:
            self.gaps = find_gaps([exposure.frame.pixels for exposure in self._kept], self._setting)
        return self._take()

    def _must_wait(self, first: Exposure) -> bool:
        pixels = first.frame.pixels
        return may_have_gaps(pixels, self._setting) or is_blank(pixels) or not pixels.any()

    def _take(self) -> list[Exposure]:
        kept, self._kept = self._kept, []
        return kept
