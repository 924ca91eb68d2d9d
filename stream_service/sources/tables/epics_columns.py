"""Columns of a log (CSV): their quantities and units.

A column is found by its usual name (`posx_m`), by that name with another unit (`posx_um`, `posx [um]`), by a name that
everybody uses (`SampleX`), or by an alias that the operator gives. Its unit is what the operator says, else what its
name ends with; a unit is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stream_service.core.frame import NS_PER_S
from stream_service.errors import ConfigError, SourceError
from stream_service.sources.tables.column_names import WELL_KNOWN, name_and_unit
from stream_service.sources.tables.log_time import is_iso_time
from stream_service.text.units import ELECTRONVOLTS, METRES, SECONDS, UnitTable

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
"""Quantities that are measured, with their usual names in SI units."""
NEEDED = ("posx", "posy")
UNITS: Mapping[str, UnitTable] = {
    **dict.fromkeys(("posx", "posy", "det_dist", "pixel"), METRES),
    "energy": ELECTRONVOLTS,
    "exposure": SECONDS,
    TIMESTAMP: UnitTable(("ns", "s"), {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS_PER_S}),
}
"""To SI; of energies to eV, of timestamps to nanoseconds."""
EXAMPLES = {"posx": "um", "posy": "um"}
"""Units in hints; of other quantities the first of their table."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "posx": WELL_KNOWN["x"],
    "posy": WELL_KNOWN["y"],
    "energy": WELL_KNOWN["energy"],
    "exposure": ("exposure", *WELL_KNOWN["exposure"]),
    "det_dist": ("detdist",),
    "pixel": ("pixel",),
    TIMESTAMP: ("timestamp",),
}
"""Names of columns without unit, in small letters and without `_`, the one that comes before the others first."""
ALSO_TIMES = ("time", "datetime", "date_time", "date time")
"""Names of a column of times, if it holds dates (ISO 8601): else it may count from anywhere."""
ALSO_KNOWN_AS = {"uniqueid": UNIQUE_ID, "ndarrayuniqueid": UNIQUE_ID}
"""In lower case, as all names are compared."""
SHORT = {"x": "posx", "y": "posy"}
"""Names of quantities in options, beside their own."""
LONGEST_LIST = 500
"""Characters of a table's header that a message shows."""


@dataclass(frozen=True, slots=True)
class EpicsColumn:
    """Place of a quantity in the table."""

    quantity: str
    name: str
    """As the table calls it."""
    place: int
    """From 0."""
    unit: str = ""
    """Empty for frame_index, unique_id, and for times that are dates."""

    @property
    def factor(self) -> float:
        """To SI, eV or nanoseconds."""
        return (UNITS[self.quantity].factor(self.unit) if self.unit else None) or 1

    @property
    def is_named_otherwise(self) -> bool:
        """True if its name is not the usual one, in whatever unit."""
        stem = name_and_unit(self.name, UNITS[self.quantity])[0] if self.quantity in UNITS else self.name.lower()
        return stem not in (self.quantity.replace("_", ""), self.quantity) and self.name.lower() not in ALSO_KNOWN_AS

    @property
    def in_words(self) -> str:
        """`posx_m from MOTOR:X.RBV in um`; empty if it is called by that name."""
        if self.name == SI_NAMES.get(self.quantity, self.quantity):
            return ""
        return f"{SI_NAMES.get(self.quantity, self.quantity)} from {self.name}" + (
            f" in {self.unit}" if self.unit else ""
        )


class NoColumnError(SourceError):
    """A table has no column for what is needed."""


def find_columns(
    path: Path,
    header: Sequence[str],
    aliases: Mapping[str, str],
    units: Mapping[str, str],
    first_row: Sequence[str] = (),
) -> list[EpicsColumn]:
    """The columns of a table with this header. Quantities may be called `posx`, `posx_m` or `x` in the options.

    Raises `SourceError` listing the columns there are, `ConfigError` if an option cannot be.
    """
    named, with_unit = _by_quantity(aliases, "--column"), _by_quantity(units, "--unit")
    columns: list[EpicsColumn] = []
    for quantity in (*SI_NAMES, *IDENTITIES):
        places = _named(path, header, named[quantity]) if quantity in named else _known(header, quantity, first_row)
        if len(places) > 1:
            there = " and ".join(repr(header[place]) for place in places)
            raise SourceError(
                f"{path} has several columns for {quantity}: {there}; say which: --column {quantity}=NAME"
            )
        if places:
            place = places[0]
            cell = first_row[place] if quantity == TIMESTAMP and place < len(first_row) else ""
            is_date = is_iso_time(cell)
            if not is_date and not _may_be_number(cell):
                raise SourceError(
                    f"the times in {path} (column {header[place]!r}) are not understood, the first is {cell!r}: write "
                    "dates as 2026-11-28T12:00:00.5+01:00, or numbers of seconds since 1970"
                )
            unit = "" if is_date else _unit(path, quantity, header[place], with_unit)
            columns.append(EpicsColumn(quantity, header[place], place, unit))
    found = {column.quantity for column in columns}
    if missing := [quantity for quantity in NEEDED if quantity not in found]:
        options = " ".join(f"--column {quantity}=NAME" for quantity in missing)
        raise NoColumnError(
            f"{path} has no column {' and no column '.join(SI_NAMES[quantity] for quantity in missing)}; its columns "
            f"are: {_listed(header)}. Name the right one{'s' if len(missing) > 1 else ''}: {options}"
        )
    if lost := [quantity for quantity in with_unit if quantity not in found]:
        raise ConfigError(f"--unit {lost[0]}={with_unit[lost[0]]}: {path} has no column for {lost[0]}")
    return columns


def _named(path: Path, header: Sequence[str], alias: str) -> list[int]:
    """The column of this name; the unit in brackets behind it may be left out."""
    exact = [place for place, name in enumerate(header) if name == alias]
    without_unit = [
        place for place, name in enumerate(header) if name.rstrip("])").startswith((f"{alias} [", f"{alias} ("))
    ]
    if not (places := exact or without_unit):
        raise SourceError(f"{path} has no column {alias!r}; its columns are: {_listed(header)}")
    return places


def _known(header: Sequence[str], quantity: str, first_row: Sequence[str]) -> list[int]:
    if quantity not in NAMES:
        known = {quantity} | {other for other, meant in ALSO_KNOWN_AS.items() if meant == quantity}
        return [place for place, name in enumerate(header) if name.lower() in known]
    plain = [name_and_unit(name, UNITS[quantity])[0] for name in header]
    for known in NAMES[quantity]:
        if places := [place for place, name in enumerate(plain) if name == known]:
            return places
    if quantity == TIMESTAMP:
        return [place for place, cell in enumerate(first_row[: len(header)]) if _is_time(header[place], cell)]
    return []


def _may_be_number(cell: str) -> bool:
    """True if a cell is a number, with a decimal comma perhaps, or empty."""
    try:
        float(cell.replace(",", ".") or 0)
    except ValueError:
        return False
    return True


def _is_time(name: str, cell: str) -> bool:
    return name.lower() in ALSO_TIMES and is_iso_time(cell)


def _unit(path: Path, quantity: str, name: str, given: Mapping[str, str]) -> str:
    if quantity not in UNITS:
        return ""
    table = UNITS[quantity]
    if quantity in given:
        if given[quantity] not in table:
            raise ConfigError(f"--unit {quantity}={given[quantity]}: the unit must be one of {', '.join(table.usual)}")
        return table.name(given[quantity])
    unit = name_and_unit(name, table)[1]
    if unit not in table:
        needed = NEEDED if quantity in NEEDED else (quantity,)
        options = " ".join(f"--unit {one}={EXAMPLES.get(one, table.usual[0])}" for one in needed if one not in given)
        what = f"{unit!r} is not a unit of" if unit else "the unit of"
        is_not = "" if unit else " is not known"
        raise SourceError(f"{what} {quantity} (column {name!r} in {path}){is_not}: give it, such as {options}")
    return table.name(unit)


def _by_quantity(options: Mapping[str, str], option: str) -> dict[str, str]:
    quantities = {name: quantity for quantity, name in SI_NAMES.items()}
    quantities |= {name: name for name in (*SI_NAMES, *IDENTITIES)} | SHORT
    quantities |= {f"{TIMESTAMP}_{unit}": TIMESTAMP for unit in UNITS[TIMESTAMP].usual}
    for name, value in options.items():
        if name not in quantities:
            raise ConfigError(f"{option} {name}={value}: {name!r} is none of {', '.join((*SI_NAMES, *IDENTITIES))}")
    return {quantities[name]: value for name, value in options.items()}


def _listed(header: Sequence[str]) -> str:
    return ", ".join(header)[:LONGEST_LIST]
