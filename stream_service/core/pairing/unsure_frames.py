"""Frames that left before their channels were known, kept without their pixels until these are known."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame, FrameId, Window, without_pixels

MOST_UNSURE = 1 << 16
"""Frames that are remembered, about 1 KiB each."""


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame and what its pairing needs to know of it."""

    frame: Frame
    id: FrameId
    ordinal: int
    exposure_s: float
    window: Window
    has_time: bool


class UnsureFrames:
    """Those of one run, by ordinal."""

    def __init__(self) -> None:
        self.n_forgotten = 0
        """Of which too many left, so that their rows cannot be put right."""
        self._frames: dict[int, WaitingFrame] = {}

    def __contains__(self, ordinal: int) -> bool:
        return ordinal in self._frames

    def remember(self, left: WaitingFrame) -> None:
        """A frame has left of which more may become known."""
        if len(self._frames) < MOST_UNSURE:
            self._frames[left.ordinal] = replace(left, frame=without_pixels(left.frame))
        else:
            self.n_forgotten += 1

    def lose_time(self, ordinals: Set[int]) -> None:
        """The stamps of these frames turn out to be no times."""
        for ordinal in self._frames.keys() & ordinals:
            self._frames[ordinal] = replace(self._frames[ordinal], has_time=False)

    def take_known(self, resolve: Callable[[WaitingFrame], Exposure | str]) -> list[Exposure]:
        """The exposures, without pixels, of those of which `resolve` finds all by now; each is given once."""
        resolved = (resolve(frame) for frame in self._frames.values())
        known = [exposure for exposure in resolved if isinstance(exposure, Exposure)]
        for exposure in known:
            del self._frames[exposure.ordinal]
        return known
