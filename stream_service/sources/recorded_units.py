"""Numbers out of files, whose units are said, or not said, in many ways."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.units import ELECTRONVOLTS, METRES
from stream_service.errors import SourceError

JOULES_PER_EV = 1.602176634e-19
SMALLEST_EV = 1e-3
"""A photon energy above this cannot be in joules, and one below it cannot be in eV."""
ENERGIES = {name.lower(): factor for name, factor in ELECTRONVOLTS.items()} | dict.fromkeys(
    ("j", "joule", "joules"), 1 / JOULES_PER_EV
)


def energy_eV(dataset: h5py.Dataset) -> npt.NDArray[np.float64]:
    """Photon energy, () or (N,), in eV. `@units` is honoured; without it CXI means joules, and many files mean eV."""
    values = np.asarray(dataset[()], np.float64)
    unit = units_of(dataset).lower()
    if unit in ENERGIES:
        return values * ENERGIES[unit]
    if unit:
        raise SourceError(f"{_where(dataset)} has the unit {unit!r}; it must be J, eV or keV")
    return values if np.all(values > SMALLEST_EV) else values / JOULES_PER_EV


def length_m(dataset: h5py.Dataset) -> npt.NDArray[np.float64]:
    """A length or position in metres; without `@units` it is in metres."""
    values = np.asarray(dataset[()], np.float64)
    unit = units_of(dataset)
    if unit and unit not in METRES:
        raise SourceError(f"{_where(dataset)} has the unit {unit!r}; it must be one of {', '.join(METRES)}")
    return values * METRES.get(unit, 1.0)


def units_of(dataset: h5py.Dataset) -> str:
    """`@units` as text; empty if there is none."""
    unit: Any = dataset.attrs.get("units", "")
    if isinstance(unit, np.ndarray):
        unit = unit.reshape(-1)[0]
    return unit.decode() if isinstance(unit, bytes) else str(unit)


def _where(dataset: h5py.Dataset) -> str:
    return f"{dataset.file.filename}:{dataset.name}"
