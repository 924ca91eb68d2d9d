"""Offsets between two ways of counting: by how much a table and its frames may be counted apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
MOST_SPAN = 1 << 22
"""Numbers from the first to the last; over more of them no offsets are looked for (two Fourier transforms of 64 MB)."""
MOST_SHOWN = 4
"""Offsets that a message lists."""


def offsets_that_fit(of_rows: Ints, of_frames: Ints) -> list[int]:
    """The offsets (key of a row minus key of its frame) at which most frames have a row, nearest to 0 first."""
    first_row, first_frame = int(of_rows.min()), int(of_frames.min())
    span = int(of_rows.max()) - first_row + int(of_frames.max()) - first_frame + 1
    if span > MOST_SPAN:
        return []
    rows, frames = np.zeros(span), np.zeros(span)
    rows[of_rows - first_row] = 1
    frames[of_frames - first_frame] = 1
    # how many pairs there are at each lag: the cross-correlation of the two sets
    pairs = np.rint(np.fft.irfft(np.fft.rfft(rows) * np.conj(np.fft.rfft(frames)), span)).astype(np.int64)
    lags = np.flatnonzero(pairs == pairs.max())
    lags[lags > int(of_rows.max()) - first_row] -= span
    return sorted((lags + first_row - first_frame).tolist(), key=lambda offset: (abs(offset), offset))


def describe_offsets(offsets: list[int], key: str) -> str:
    """The end of a sentence that says what fits and how to choose it; empty if nothing was found."""
    if not offsets:
        return ""
    shown = ", ".join(map(str, offsets[:MOST_SHOWN])) + (", ..." if len(offsets) > MOST_SHOWN else "")
    fit = "fits" if len(offsets) == 1 else "fit"
    return f", or --row-offset N, the {key} of a row minus that of its frame: {shown} {fit}"
