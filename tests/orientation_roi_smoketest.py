"""Check, in a second and without a file, that rotate, flip and ROI do what they say.

    python tests/orientation_roi_smoketest.py

Every frame is turned whole with numpy first, and cropped after that around its bright pixel, so that it lands at index
n // 2: the other way round than the service, which crops while it reads. Both must store the same pixels.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np

from stream_service.kernels import FrameReducer, Geometry, parse_center
from stream_service.kernels.geometry import FLIPS, ROTATIONS

RAW_SHAPE = (45, 64)
ROIS = ((16, 16), (15, 15), (16, 23), (9, 32))
CENTERS = {"0.5,0.5": (22, 32), "20,29": (20, 29), "0.45,0.55": (20, 35)}
"""As the operator writes it, and the raw pixel that is meant."""


def turned_and_cropped(raw: np.ndarray, rotate: int, flip: str, roi: tuple[int, int]) -> np.ndarray:
    """The stored frame by its definition: the brightest pixel at n // 2."""
    turned = np.rot90(raw, rotate // 90)
    turned = np.fliplr(turned) if "h" in flip else turned
    turned = np.flipud(turned) if "v" in flip else turned
    row, column = np.unravel_index(turned.argmax(), turned.shape)
    ny, nx = roi[::-1] if rotate in (90, 270) else roi
    top, left = int(row) - ny // 2, int(column) - nx // 2
    return turned[top : top + ny, left : left + nx]


def mistakes() -> list[str]:
    """The settings under which the two differ."""
    rng = np.random.default_rng(1)
    found = []
    for rotate, flip, roi, (text, pixel) in itertools.product(ROTATIONS, FLIPS, ROIS, CENTERS.items()):
        raw = rng.integers(0, 1000, RAW_SHAPE).astype(np.uint16)
        raw[pixel] = 5000
        reducer = FrameReducer(Geometry(RAW_SHAPE, roi, parse_center(text, RAW_SHAPE), rotate=rotate, flip=flip))
        stored = np.empty(reducer.out_shape, np.float32)
        reducer.reduce(raw[np.newaxis], [1.0], stored)
        if not np.array_equal(stored, turned_and_cropped(raw, rotate, flip, roi)):
            found.append(f"rotate {rotate}, flip {flip}, ROI {roi[0]},{roi[1]} around {text}")
    return found


def main() -> None:
    """Say what is wrong, if anything, and end with exit code 1 then."""
    found = mistakes()
    for settings in found:
        print(f"WRONG: {settings}")
    if found:
        sys.exit(1)
    print("OK: orientation & ROI center tests passed")


if __name__ == "__main__":
    main()
