"""The photon energies of the rows of a run: the one energy that the file gives, and what is to be said of the others.

A run is meant to have one energy, which readers find as one number. Rows within `TOLERANCE` of each other are one
energy, and their mean is that number. If there are others, it is the energy that most rows have (the middle one, if
each has its own), and no mean of several: 700 and 900 eV do not make 810. What each row was taken at is in the file,
row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.plausibility import LIMITS
from stream_service.text.counted import agrees, counted

TOLERANCE = 1e-3
"""Relative. A wavelength that is off by this share moves the edge of a frame of 1000 pixels by half a pixel; beamlines
drift by 1e-4."""
FINEST_eV = 0.01
"""Less makes no difference to a row: a tenth of the finest step of an absorption spectrum."""


@dataclass(slots=True)
class _Bin:
    """Rows that are half a tolerance apart at the most."""

    n: int = 0
    sum_eV: float = 0.0


class RowEnergies:
    """Counts rows as they are appended; memory grows with the number of energies, not of rows."""

    def __init__(self) -> None:
        self.n_rows = self.n_unknown = self.n_mixed = 0
        """Of unknown ones, those that are no number or no photon's energy; of mixed ones, those made of frames of
        several energies."""
        self._bins: dict[int, _Bin] = {}
        self._lowest_eV, self._highest_eV = math.inf, -math.inf

    def add(self, energy_eV: npt.ArrayLike, spread_eV: npt.ArrayLike = 0.0) -> None:
        """Count a row, or (n,) rows; `spread_eV` is how far the energies of the frames of each lie apart.

        Where a run is cut into blocks makes no difference, not in the last bit.
        """
        energies_eV, limits = np.atleast_1d(np.asarray(energy_eV, np.float64)), LIMITS["energy_eV"]
        is_known = (energies_eV >= limits.low) & (energies_eV <= limits.high)
        known_eV = energies_eV[is_known]
        self.n_rows += len(energies_eV)
        self.n_unknown += len(energies_eV) - len(known_eV)
        if not len(known_eV):
            return
        self.n_mixed += int(np.count_nonzero((np.asarray(spread_eV) > TOLERANCE * energies_eV) & is_known))
        keys = np.rint(np.log(known_eV) / (TOLERANCE / 2)).astype(np.int64)
        for key in dict.fromkeys(keys.tolist()):  # in the order in which they come
            of_key_eV = known_eV[keys == key]
            found = self._bins.setdefault(key, _Bin())
            found.n += len(of_key_eV)
            found.sum_eV = float(np.add.accumulate(np.append(found.sum_eV, of_key_eV))[-1])  # one after the other
        self._lowest_eV = min(self._lowest_eV, float(known_eV.min()))
        self._highest_eV = max(self._highest_eV, float(known_eV.max()))

    @property
    def is_one(self) -> bool:
        """True if all rows whose energy is known have one."""
        return self._highest_eV - self._lowest_eV <= TOLERANCE * self._highest_eV

    @property
    def energy_eV(self) -> float:
        """The one number of the run; NaN if no row has any."""
        if not self._bins:
            return math.nan
        if self.is_one:
            return _mean(list(self._bins.values()))
        return _mean(self._near(self._most))

    @property
    def n_off(self) -> int:
        """Rows of another energy than the run's; those half a tolerance apart are judged together."""
        if self.is_one:
            return 0
        energy_eV = self.energy_eV
        return sum(one.n for one in self._bins.values() if abs(_mean([one]) - energy_eV) > TOLERANCE * energy_eV)

    def notes(self) -> Iterator[str]:
        """Remarks on the rows so far, in sentences."""
        if self.n_rows and self.n_unknown == self.n_rows:
            yield (
                "the photon energy is not known in any row, so nothing can be reconstructed as it is: is its PV "
                "connected, and its unit right? `ptychostream ingest hdf5` of this file with --energy-eV gives it"
            )
        elif self.n_unknown:
            yield f"the photon energy is not known in {self.n_unknown} of {counted(self.n_rows, 'row')}"
        if self.n_off:
            yield (
                f"the photon energy changed during the run, from {self._lowest_eV:g} to {self._highest_eV:g} eV: the "
                f"file's one energy is {self.energy_eV:g} eV, and {self.n_off} of {counted(self.n_rows, 'row')} "
                f"{agrees(self.n_off, 'is')} off by more than {TOLERANCE:.1%} (/entry/frames/energy_eV): "
                f"reconstruct each energy by itself"
            )
        if self.n_mixed:
            yield (
                f"{self.n_mixed} of {counted(self.n_rows, 'row')} {agrees(self.n_mixed, 'combines')} "
                f"frames of different photon energies"
            )

    @property
    def _most(self) -> int:
        """The bin with most rows; of equal ones, that in the middle of all rows."""
        ordered, left = sorted(self._bins), (self.n_rows - self.n_unknown) / 2
        middle = ordered[0]
        for middle in ordered:
            left -= self._bins[middle].n
            if left <= 0:
                break
        return max(ordered, key=lambda key: (self._bins[key].n, -abs(key - middle)))

    def _near(self, key: int) -> list[_Bin]:
        """The rows of one energy: those of a bin and its neighbours, which a border may have parted."""
        return [self._bins[near] for near in (key - 1, key, key + 1) if near in self._bins]


def _mean(bins: list[_Bin]) -> float:
    return sum(one.sum_eV for one in bins) / sum(one.n for one in bins)
