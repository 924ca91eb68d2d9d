"""Kind of a flat: as measured, or normalised (without its dark, mean of about 1), as most files hold it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FlatKind = Literal["raw", "normalised"]
MOST_NORMALISED = 2.0
"""A median above it is in ADU: whoever normalises a flat makes its mean, or its maximum, 1."""
NO_DARK = 0.01
"""A dark below this share of the flat changes nothing that matters."""
MOST_BELOW_DARK = 0.25
"""Share of the pixels of a raw flat that are not above their dark: more are where it has lost its dark already, or
where its beam was small."""


def recognise_flat(flat: NDArray[Any], dark: NDArray[Any], mask: NDArray[Any] | None = None) -> FlatKind | None:
    """Kind of a flat beside this dark, all (y, x); None if it may be either.

    A raw flat is above its dark. One that is not, and about 1, is normalised; one that is about 1 and above a dark that
    is smaller still may be either, as may one in ADU that is not above its dark.
    """
    used = np.isfinite(flat) & np.isfinite(dark)
    if mask is not None:
        used &= mask == 0
    if not used.any():
        return "raw"
    level, dark_level = float(np.median(flat[used])), float(np.median(np.abs(dark[used])))
    above = flat[used].astype(np.float64) - dark[used]
    if level > MOST_NORMALISED:
        return None if float(np.mean(above <= 0)) > MOST_BELOW_DARK else "raw"
    if level <= 0 or dark_level <= NO_DARK * level:
        return "raw"
    return None if float(np.median(above)) > 0 else "normalised"
