"""Gates: what rejects a row by itself, for a stated reason and by a stated limit.

What is usual of a scan is what was so far: the energy of most rows, and bands of the frame that read nothing in many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.qc.kernels.codes import BANDS
from stream_service.qc.kernels.verdicts import gate
from stream_service.qc.row_table import Columns
from stream_service.settings.quality import QualitySettings

MOST_USUAL = 0.25
"""A band of cells that reads nothing in more than this share of the rows is dark, not missing."""
BAND_BITS = np.uint32(1) << np.arange(2 * BANDS, dtype=np.uint32)
"""Of bands of rows, then of columns, in what the table says of dark ones."""

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seen:
    """What has been seen of a scan, in its rows before `n_rows`."""

    n_rows: int = 0
    energies_eV: tuple[float, ...] = ()
    """The usual ones of the windows so far."""
    n_dark: tuple[int, ...] = (0,) * (2 * BANDS)
    """Rows in which each band reads nothing."""

    def with_rows(self, columns: Columns, first: int) -> Seen:
        """With those of a window, of which the first is row `first`."""
        known_eV = columns["energy_eV"][np.isfinite(columns["energy_eV"])]
        energies_eV = (float(np.median(known_eV)),) if len(known_eV) else ()
        new = columns["dark"][self.n_rows - first :]
        n_dark = (n + int(np.count_nonzero(new & bit)) for n, bit in zip(self.n_dark, BAND_BITS, strict=True))
        return Seen(self.n_rows + len(new), (*self.energies_eV, *energies_eV), tuple(n_dark))

    @property
    def usual_eV(self) -> float:
        """The energy of most rows; NaN if none is known."""
        return float(np.median(self.energies_eV)) if self.energies_eV else math.nan

    @property
    def unusual_bands(self) -> int:
        """Bits of the bands that read nothing in few rows only."""
        most = MOST_USUAL * self.n_rows
        return sum(int(bit) for n, bit in zip(self.n_dark, BAND_BITS, strict=True) if n <= most)


@dataclass(frozen=True, slots=True, eq=False)
class Gated:
    """Of n rows, what gates say."""

    bits: npt.NDArray[np.uint32]
    """(n,) `1 << reason` of each gate that rejects a row."""
    reasons: npt.NDArray[np.uint8]
    """(n,) the first of them."""
    numbers: Floats
    """(n, 2), as it says."""


class Gates:
    """Gates of a scan as seen so far."""

    def __init__(
        self, settings: QualitySettings, seen: Seen, energy_eV: float | None, usual_bands: tuple[Floats, Floats]
    ) -> None:
        """`energy_eV` is the requested one, None for that of most rows; `usual_bands` see `RowTable.usual_bands`."""
        self._settings = settings
        self._usual_eV = energy_eV or seen.usual_eV
        self._unusual, self._usual_bands = seen.unusual_bands, usual_bands

    def of(self, columns: Columns, repeats: Rows, n_pixels: int) -> Gated:
        """Of rows (n,), with the row of which each is a copy, -1 for none."""
        n, limits = len(repeats), self._settings
        gated = Gated(np.empty(n, np.uint32), np.empty(n, np.uint8), np.empty((n, 2)))
        gate(
            columns["is_placed"],
            repeats,
            columns["energy_eV"],
            self._usual_eV,
            limits.energy_tolerance,
            columns["is_open"],
            columns["ring_current_mA"],
            limits.min_ring_current_mA,
            columns["values"],
            n_pixels,
            limits.max_saturated,
            columns["dark"],
            self._unusual,
            *self._usual_bands,
            gated.bits,
            gated.reasons,
            gated.numbers,
        )
        return gated
