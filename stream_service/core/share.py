"""The share of a run's frames that one of several services gets, where a plugin hands them out in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Share:
    """Every `of`-th frame of a run, from the one in place `first` on; `Share()` is all of them.

    Places are those in the whole run, so that planned positions, epochs and stamps need not know of shares.
    """

    of: int = 1
    first: int = 0
    """Below `of`."""

    @classmethod
    def with_frame(cls, ordinal: int, of: int) -> Share:
        """The share that has the frame in this place."""
        return cls(of, ordinal % of)

    def has(self, ordinal: int) -> bool:
        """True for a frame of the share."""
        return ordinal % self.of == self.first

    def n_among(self, n_frames: int) -> int:
        """Frames of the share among the first so many of the run."""
        return max(0, -(-(n_frames - self.first) // self.of))

    def next_after(self, n_frames: int) -> int:
        """Place of the first frame of the share that is not among the first so many of the run."""
        return self.first + self.n_among(n_frames) * self.of

    def places(self, n_frames: int) -> slice:
        """The frames of the share among the first so many of the run."""
        return slice(self.first, n_frames, self.of)

    def only(self, ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of these places that are of the share."""
        return ordinals if self.of == 1 else ordinals[ordinals % self.of == self.first]
