"""Numbers out of files, whose units are said, or not said, in many ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from stream_service.core.units import ELECTRONVOLTS, METRES
from stream_service.errors import SourceError
from stream_service.utf8 import decoded

JOULES_PER_EV = 1.602176634e-19
SMALLEST_EV = 1e-3
"""A photon energy above this cannot be in joules, and one below it cannot be in eV."""
ENERGIES = {name.lower(): factor for name, factor in ELECTRONVOLTS.items()} | dict.fromkeys(
    ("j", "joule", "joules"), 1 / JOULES_PER_EV
)
LONGEST_UNIT = 40
"""Characters of a unit nobody knows that go into a message."""
SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}


def length_factor(unit: str, where: str) -> float:
    """Factor to metres; a length without a unit is in metres."""
    return _factor(METRES, unit, where, "m, mm, um or nm")


def energy_factor(unit: str, value: float, where: str) -> float:
    """Factor to eV. Without a unit CXI means joules and many files mean eV: `value`, one of them, tells which."""
    if not unit:
        return 1 / JOULES_PER_EV if value <= SMALLEST_EV else 1.0
    return _factor(ENERGIES, unit.lower(), where, "J, eV or keV")


def seconds_factor(unit: str, where: str) -> float:
    """Factor to seconds; a time without a unit is in seconds."""
    return _factor(SECONDS, unit.lower(), where, "s, ms or us")


def first_unit(words: Iterable[str], table: Mapping[str, float]) -> str:
    """The first of the words that is a unit of the table; empty if none is."""
    return next((word for word in words if word in table), "")


def units_of(dataset: h5py.Dataset) -> str:
    """`@units` as text; empty if there is none."""
    return text_of(dataset.attrs.get("units", ""))


def text_of(value: Any) -> str:
    """The value of an HDF5 attribute as text: NDFileHDF5 writes bytes, others text, some arrays of one."""
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    if isinstance(value, h5py.Empty):
        return ""
    return decoded(value if isinstance(value, bytes) else str(value)).strip()


def _factor(table: Mapping[str, float], unit: str, where: str, choice: str) -> float:
    if not unit:
        return 1.0
    if unit not in table:
        raise SourceError(f"{where} has the unit {unit[:LONGEST_UNIT]!r}; it must be {choice}")
    return table[unit]
