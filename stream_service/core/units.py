"""The units in which beamlines and files give lengths and photon energies, as factors to metres and electronvolts."""

from __future__ import annotations

METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "microns": 1e-6, "nm": 1e-9}
"""Unicode has two signs for micro, and both are written."""
ELECTRONVOLTS = {"eV": 1.0, "keV": 1e3}


def is_same_unit(one: str, other: str) -> bool:
    """Whether two names mean one unit: `um` and `microns` do, and so do `EV` and `eV`."""
    if one in METRES and other in METRES:
        return METRES[one] == METRES[other]
    if one.lower() in ("ev", "kev"):
        return one.lower() == other.lower()
    return one == other
