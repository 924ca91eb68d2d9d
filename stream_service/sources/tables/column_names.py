"""Names and units of columns, as people and programs write them: `SampleX [um]`, `x (mm)`, `posx_um`, `PosX`.

One table for the NDAttributes of an HDF5 file and for the header of a log (CSV).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stream_service.text.units import UnitTable, plain_unit

WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "x": ("posx", "x", "xpos", "samplex", "stagex", "scanx", "positionx"),
    "y": ("posy", "y", "ypos", "sampley", "stagey", "scany", "positiony"),
    "energy": ("energy", "photonenergy", "monoenergy"),
    "exposure": ("acquiretime", "acqtime", "exposure", "exposuretime", "expose", "counttime"),
}
"""Names of a channel that everybody uses, the most usual first, without unit, in small letters and without `_`."""
IN_BRACKETS = re.compile(r"\s*[\[({]\s*(?P<unit>[^\[\](){}]*?)\s*[\])}]\s*$")
"""At the end of a name."""


def name_and_unit(name: str, table: UnitTable) -> tuple[str, str]:
    """The name in small letters without `_` and blanks, and the unit at its end; an empty unit where it has none.

    A unit in brackets counts as one even if it is none of this quantity: it is not part of the name.
    """
    if found := IN_BRACKETS.search(name):
        return _plain(name[: found.start()]), found["unit"]
    stem, _, last = re.sub(r"[\s,]+", "_", name.strip()).rpartition("_")
    if stem and last in table:
        return _plain(stem), last
    return _plain(name), ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "", plain_unit(name)).lower()
