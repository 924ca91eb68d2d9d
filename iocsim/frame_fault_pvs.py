"""PVs of the faults of exposures and of the drifts, beside those of the network's faults.

What the source of frames cannot show is refused: a client's put fails, and nothing changes.
"""

from __future__ import annotations

from iocsim.fault_values import amplitude, fraction
from iocsim.faults import sets
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import FaultKind, FrameFaults, fault_ids_text, parse_fault_ids, parse_kinds
from iocsim.physics.pixel_faults import GIVEN_KINDS, refuse_wrong_energy
from iocsim.pv import PvTable, Text
from iocsim.unique_ids import FaultError


class FrameFaultPvs:
    """`Sim:FaultShare`, `Sim:FaultKinds` (`beam_dump,vibration`), `Sim:FaultIds` (`beam_dump:100-120,vibration:7`)."""

    def __init__(self, table: PvTable, faults: FrameFaults, *, frames_are_given: bool) -> None:
        """With frames that are given, a wrong energy is not among the faults that chance chooses."""
        self.now = faults
        """The faults in force; replaced as a whole, so any thread may read it."""
        self._frames_are_given = frames_are_given
        table.pair("FaultShare", faults.share, on_put=sets(self, "share", fraction))
        table.pair("FaultKinds", Text(",".join(faults.kinds)), on_put=sets(self, "kinds", self._kinds))
        ids = Text(fault_ids_text(faults.ids), length=65536)
        table.pair("FaultIds", ids, on_put=sets(self, "ids", self._ids))

    def _kinds(self, text: str) -> tuple[FaultKind, ...]:
        return kinds_shown(text, frames_are_given=self._frames_are_given)

    def _ids(self, text: str) -> dict[FaultKind, frozenset[int]]:
        return fault_ids_shown(text, frames_are_given=self._frames_are_given)


class DriftPvs:
    """`Sim:IntensityDrift`, `Sim:TopUpStep`, `Sim:PointingDrift` (pixels) and `Sim:DarkDrift` (ADU): amplitudes."""

    def __init__(self, table: PvTable, drifts: Drifts, *, frames_are_given: bool) -> None:
        """Frames that are given have the drifts that they were recorded with."""
        self.now = drifts
        """The drifts in force; replaced as a whole, so any thread may read it."""
        for name, drift, units in (
            ("IntensityDrift", "intensity", ""),
            ("TopUpStep", "top_up", ""),
            ("PointingDrift", "pointing_px", "px"),
            ("DarkDrift", "dark_ADU", "ADU"),
        ):
            read = _none_of_given if frames_are_given else fraction if not units else amplitude
            table.pair(name, getattr(drifts, drift), units=units, on_put=sets(self, drift, read))


def kinds_shown(text: str, *, frames_are_given: bool) -> tuple[FaultKind, ...]:
    """As `parse_kinds`; without a name all that these frames can show. Raises FaultError."""
    if frames_are_given and not text.strip(", "):
        return GIVEN_KINDS
    kinds = parse_kinds(text)
    if frames_are_given:
        refuse_wrong_energy(kinds)
    return kinds


def fault_ids_shown(text: str, *, frames_are_given: bool) -> dict[FaultKind, frozenset[int]]:
    """As `parse_fault_ids`, of kinds that these frames can show. Raises FaultError."""
    ids = parse_fault_ids(text)
    if frames_are_given:
        refuse_wrong_energy(ids)
    return ids


def _none_of_given(value: float) -> float:
    if value:
        raise FaultError("frames that are given (--stack, --replay) do not drift: simulate them one by one")
    return 0.0
