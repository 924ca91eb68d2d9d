"""Numbers out of files, whose units are said, or not said, in many ways."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

from stream_service.errors import SourceError
from stream_service.text.units import ELECTRONVOLTS, JOULES_PER_EV, METRES, SECONDS, UnitTable
from stream_service.text.utf8 import decoded

SMALLEST_EV = 1e-3
"""A photon energy above this cannot be in joules, and one below it cannot be in eV."""
LONGEST_UNIT = 40
"""Characters of a unit nobody knows that go into a message."""


def length_factor(unit: str, where: str) -> float:
    """Factor to metres; a length without a unit is in metres."""
    return _factor(METRES, unit, where)


def energy_factor(unit: str, value: float, where: str) -> float:
    """Factor to eV. Without a unit CXI means joules and many files mean eV: `value`, one of them, tells which."""
    if not unit:
        return 1 / JOULES_PER_EV if value <= SMALLEST_EV else 1.0
    return _factor(ELECTRONVOLTS, unit, where)


def seconds_factor(unit: str, where: str) -> float:
    """Factor to seconds; a time without a unit is in seconds."""
    return _factor(SECONDS, unit, where)


def first_unit(words: Iterable[str], table: UnitTable) -> str:
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


def _factor(table: UnitTable, unit: str, where: str) -> float:
    if not unit:
        return 1.0
    factor = table.factor(unit)
    if factor is None:
        raise SourceError(f"{where} has the unit {unit[:LONGEST_UNIT]!r}; it must be {table.choice}")
    return factor
