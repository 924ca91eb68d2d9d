"""The exposures of rows that an earlier service has written, as far as the rows tell of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId, no_pixels
from stream_service.kernels import Grouping

OF_THE_ROW = Flag.SPREAD | Flag.INVALID
"""Flags that no entry of an array takes away."""


def exposures_kept(row: np.void, ordinals: npt.NDArray[np.int64], grouping: Grouping) -> tuple[Exposure, ...]:
    """Those of which a row tells, without pixels and positions; none if it is not known which one that is.

    `ordinals` (k,) are the places of its frames.
    """
    n_frames = len(ordinals)
    if n_frames > 1 and grouping is Grouping.BEST:
        return ()
    energy_eV, nan = float(row["energy_eV"]), float("nan")
    return tuple(
        Exposure(
            Frame(int(row["unique_id"][k]), int(row["timestamp_ns"][k]), no_pixels((1, 1), np.dtype(np.uint8)), {}),
            FrameId(int(row["epoch"][k]), int(row["unique_id"][k])),
            int(ordinals[k]),
            nan,
            {"x": nan, "y": nan, "energy": energy_eV},
            Flag(int(row["flags"])),
        )
        for k in range(1 if grouping is Grouping.FIRST else n_frames)
    )
