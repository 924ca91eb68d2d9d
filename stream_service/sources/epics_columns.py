"""Which column of a log (CSV) holds which quantity, and in which unit.

A column is found by the seed's name (`posx_m`), by that name with another unit (`posx_um`), or by an alias that the
operator gives. Its unit is what the operator says, else what its name ends with; a unit is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stream_service.core.frame import NS_PER_S
from stream_service.core.units import ELECTRONVOLTS, METRES
from stream_service.errors import ConfigError, SourceError
from stream_service.sources.recorded_units import SECONDS

FRAME_INDEX, UNIQUE_ID, TIMESTAMP = "frame_index", "unique_id", "timestamp"
IDENTITIES = (FRAME_INDEX, UNIQUE_ID, TIMESTAMP)
"""Quantities that are whole numbers."""
SI_NAMES = {
    "posx": "posx_m",
    "posy": "posy_m",
    "energy": "energy_eV",
    "det_dist": "det_dist_m",
    "pixel": "pixel_m",
    "exposure": "exposure_s",
}
"""Quantities that are measured, with the seed's names for them in SI units."""
NEEDED = ("posx", "posy")
UNITS: Mapping[str, Mapping[str, float]] = {
    **dict.fromkeys(("posx", "posy", "det_dist", "pixel"), METRES),
    "energy": ELECTRONVOLTS,
    "exposure": SECONDS,
    TIMESTAMP: {"ns": 1, "s": NS_PER_S},
}
"""Factors of units to SI; of energies to eV, of timestamps to nanoseconds."""
ALSO_KNOWN_AS = {"uniqueid": UNIQUE_ID, "ndarrayuniqueid": UNIQUE_ID}
"""In lower case, as all names are compared."""
LONGEST_LIST = 500
"""Characters of a table's header that a message shows."""


@dataclass(frozen=True, slots=True)
class EpicsColumn:
    """Where a quantity is in the table."""

    quantity: str
    name: str
    """As the table calls it."""
    place: int
    """From 0."""
    unit: str = ""
    """Empty for frame_index and unique_id."""

    @property
    def factor(self) -> float:
        """To SI, eV or nanoseconds."""
        return UNITS[self.quantity][self.unit] if self.unit else 1

    @property
    def in_words(self) -> str:
        """`posx_m from MOTOR:X.RBV in um`; empty if it is called by that name."""
        if self.name == SI_NAMES.get(self.quantity, self.quantity):
            return ""
        return f"{SI_NAMES.get(self.quantity, self.quantity)} from {self.name}" + (
            f" in {self.unit}" if self.unit else ""
        )


def find_columns(
    path: Path, header: Sequence[str], aliases: Mapping[str, str], units: Mapping[str, str]
) -> list[EpicsColumn]:
    """The columns of a table with this header. Quantities may be called `posx` or `posx_m` in the options.

    Raises `SourceError` listing the columns there are, `ConfigError` if an option cannot be.
    """
    named, with_unit = _by_quantity(aliases, "--column"), _by_quantity(units, "--unit")
    columns: list[EpicsColumn] = []
    for quantity in (*SI_NAMES, *IDENTITIES):
        places = _named(path, header, named[quantity]) if quantity in named else _known(header, quantity)
        if len(places) > 1:
            there = " and ".join(repr(header[place]) for place in places)
            raise SourceError(
                f"{path} has several columns for {quantity}: {there}; say which: --column {quantity}=NAME"
            )
        if places:
            unit = _unit(path, quantity, header[places[0]], with_unit.get(quantity, ""))
            columns.append(EpicsColumn(quantity, header[places[0]], places[0], unit))
    found = {column.quantity for column in columns}
    if missing := [SI_NAMES[quantity] for quantity in NEEDED if quantity not in found]:
        raise SourceError(
            f"{path} has no column {' and no column '.join(missing)}; its columns are: {_listed(header)}. "
            f"Name the right one: --column {missing[0].removesuffix('_m')}=NAME"
        )
    if lost := [quantity for quantity in with_unit if quantity not in found]:
        raise ConfigError(f"--unit {lost[0]}={with_unit[lost[0]]}: {path} has no column for {lost[0]}")
    return columns


def _named(path: Path, header: Sequence[str], alias: str) -> list[int]:
    places = [place for place, name in enumerate(header) if name == alias]
    if not places:
        raise SourceError(f"{path} has no column {alias!r}; its columns are: {_listed(header)}")
    return places


def _known(header: Sequence[str], quantity: str) -> list[int]:
    known = {quantity, *(f"{quantity}_{unit.lower()}" for unit in UNITS.get(quantity, ()))}
    known |= {other for other, meant in ALSO_KNOWN_AS.items() if meant == quantity}
    return [place for place, name in enumerate(header) if _plain(name) in known]


def _unit(path: Path, quantity: str, name: str, given: str) -> str:
    if quantity not in UNITS:
        return ""
    known = {unit.lower(): unit for unit in UNITS[quantity]}
    if given and _plain(given) not in known:
        raise ConfigError(f"--unit {quantity}={given}: the unit must be one of {', '.join(known.values())}")
    unit = _plain(given) if given else _plain(name).rpartition("_")[2]
    if unit not in known:
        raise SourceError(
            f"the unit of {quantity} (column {name!r} in {path}) is not known: give it, such as --unit {quantity}="
            f"{next(iter(known.values()))}"
        )
    return known[unit]


def _by_quantity(options: Mapping[str, str], option: str) -> dict[str, str]:
    quantities = {name: quantity for quantity, name in SI_NAMES.items()}
    quantities |= {name: name for name in (*SI_NAMES, *IDENTITIES)}
    quantities |= {f"{TIMESTAMP}_{unit}": TIMESTAMP for unit in UNITS[TIMESTAMP]}
    for name, value in options.items():
        if name not in quantities:
            raise ConfigError(f"{option} {name}={value}: {name!r} is none of {', '.join((*SI_NAMES, *IDENTITIES))}")
    return {quantities[name]: value for name, value in options.items()}


def _plain(name: str) -> str:
    return name.lower().replace("μ", "µ")  # the Greek letter and the micro sign look alike


def _listed(header: Sequence[str]) -> str:
    return ", ".join(header)[:LONGEST_LIST]
