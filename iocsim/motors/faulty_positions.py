"""Positions that a frame carries, and that are not what they should be: missing, not a number, or stuck.

Only what is said is faulty: the stage is where it is, and the truth knows it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from iocsim.detector.ndarray import NDAttribute
from iocsim.faults import sets
from iocsim.pv import PvTable, Text
from iocsim.unique_ids import parse_ids


@dataclass(frozen=True, slots=True)
class PositionFaults:
    """uniqueIds of frames with each fault; the first that names a frame counts."""

    missing_ids: frozenset[int] = frozenset()
    """The NDAttributes are undefined, as of a PV that is not connected."""
    nan_ids: frozenset[int] = frozenset()
    """NDAttributes and readbacks are not a number."""
    frozen_ids: frozenset[int] = frozenset()
    """The NDAttributes are those of the last frame before."""


class FaultyPositions:
    """`Sim:PositionMissing`, `Sim:PositionNan`, `Sim:PositionFreeze`: uniqueIds as `1,7,100-104`."""

    def __init__(self, table: PvTable, sources: Collection[str]) -> None:
        """`sources` are the PVs that say where the stage is."""
        self.now = PositionFaults()
        """The faults in force; replaced as a whole, so any thread may read it."""
        self._sources = frozenset(sources)
        self._last: dict[str, NDAttribute] = {}
        for name, field in (("Missing", "missing_ids"), ("Nan", "nan_ids"), ("Freeze", "frozen_ids")):
            table.pair(f"Position{name}", Text(length=65536), on_put=sets(self, field, parse_ids))

    def carried(self, unique_id: int, attributes: tuple[NDAttribute, ...]) -> tuple[NDAttribute, ...]:
        """The NDAttributes of a frame as it carries them; in the driver's thread, once for each frame."""
        faults = self.now
        if unique_id in faults.missing_ids:
            return tuple(self._with(attribute, None) for attribute in attributes)
        if unique_id in faults.nan_ids:
            return tuple(self._with(attribute, math.nan) for attribute in attributes)
        if unique_id in faults.frozen_ids:
            return tuple(self._last.get(attribute.name, attribute) for attribute in attributes)
        self._last = {attribute.name: attribute for attribute in attributes if attribute.source in self._sources}
        return attributes

    def shown(self, unique_id: int, position: float) -> float:
        """What a readback shows while this frame is the next."""
        return math.nan if unique_id in self.now.nan_ids else position

    def _with(self, attribute: NDAttribute, value: float | None) -> NDAttribute:
        return replace(attribute, value=value) if attribute.source in self._sources else attribute
