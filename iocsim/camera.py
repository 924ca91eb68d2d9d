"""The camera: photons in, raw frames out, with everything a real sensor adds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rotate = Literal[0, 90, 180, 270]
Flip = Literal["none", "h", "v", "hv"]


class Camera:
    """A seeded sensor in one of eight mountings; `rotate`/`flip` are the profile's, which bring the raw frame back."""

    seed: int

    @property
    def raw_shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def dark_reference(self, exposure_s: float, n_frames: int = 64) -> NDArray[np.float32]: ...
    def flat_reference(self, exposure_s: float, n_frames: int = 64) -> NDArray[np.float32]: ...
    def bad_pixel_mask(self) -> NDArray[np.uint8]: ...
