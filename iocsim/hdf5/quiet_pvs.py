"""PVs of HDF1 that clients read and write and that change nothing in the simulated files."""

from __future__ import annotations

from iocsim.pv import NO_YES, Choice, Initial, PvTable

YES = Choice(NO_YES.strings, 1)

QUIET_PAIRS: dict[str, Initial] = {
    "ChunkSizeAuto": YES,
    "DeleteDriverFile": NO_YES,
    "TempSuffix": "",
    "FillValue": 0.0,
    "JPEGQuality": 90,
}

QUIET_NUMBERS = {
    "BoundaryAlign": (0, "bytes"),
    "BoundaryThreshold": (65536, "bytes"),
    "NumDataBits": (8, "bit"),
    "DataBitsOffset": (0, "bit"),
    "SZipNumPixels": (16, "bit"),
}
"""With their units."""


def add_quiet_pvs(table: PvTable) -> None:
    """Serve them below HDF1's prefix."""
    for name, initial in QUIET_PAIRS.items():
        table.pair(name, initial)
    for name, (number, units) in QUIET_NUMBERS.items():
        table.pair(name, number, units=units)
