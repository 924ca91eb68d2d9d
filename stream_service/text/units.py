"""The units in which beamlines and files give lengths, photon energies and times: one table for all that is read.

HDF5 datasets, logs (CSV), sidecars, profiles, motor records and recorded readbacks are all read by it. A unit is known
however it is spelt: small or large, in words, plural, with either sign for micro, in brackets.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

JOULES_PER_EV = 1.602176634e-19
"""Exact in the SI of 2019."""
BRACKETS = "[](){}<> \t\n\r\0.,;"
"""Around a unit in the header of a table, and what ends a description."""
PREFIXES = {"": 1.0, "centi": 1e-2, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12}


@dataclass(frozen=True, slots=True, eq=False)
class UnitTable:
    """The units of one quantity, with their factors to the unit that we keep it in."""

    usual: tuple[str, ...]
    """Named in messages; the first is the unit we keep."""
    factors: Mapping[str, float]
    """By spelling, in small letters; with capitals only where those matter (MeV, meV)."""

    def factor(self, unit: str) -> float | None:
        """The factor of a unit as somebody wrote it; None if it is none of this quantity."""
        spelt = plain_unit(unit)
        return self.factors.get(spelt, self.factors.get(spelt.lower()))

    def name(self, unit: str) -> str:
        """The usual name of a unit that is known: `um` for `Microns`; for one without, as it was written."""
        factor = self.factor(unit)
        return next((one for one in self.usual if self.factors.get(one.lower()) == factor), unit)

    def __contains__(self, unit: str) -> bool:
        return self.factor(unit) is not None

    @property
    def choice(self) -> str:
        """`m, mm, um or nm`."""
        return f"{', '.join(self.usual[:-1])} or {self.usual[-1]}"


def plain_unit(unit: str) -> str:
    """The unit without brackets, with one of the two signs for micro and one of the two for angstrom."""
    # "Â" comes before "µ" where UTF-8 was read as Latin-1
    return unicodedata.normalize("NFKC", unit.replace("Âµ", "µ")).strip(BRACKETS)


def _in_words(*words: str) -> dict[str, float]:
    """`micrometer`, `micrometers`, `micrometre`, ..."""
    return {
        f"{prefix}{word}{end}": factor for prefix, factor in PREFIXES.items() for word in words for end in ("", "s")
    }


def _factor_of(factor: float, *spellings: str) -> dict[str, float]:
    return dict.fromkeys(spellings, factor)


METRES = UnitTable(
    usual=("m", "mm", "um", "nm"),
    factors={
        **_in_words("meter", "metre"),
        **_factor_of(1.0, "m"),
        **_factor_of(1e-2, "cm"),
        **_factor_of(1e-3, "mm"),
        **_factor_of(1e-6, "um", "μm", "micron", "microns"),
        **_factor_of(1e-9, "nm"),
        **_factor_of(1e-10, "a", "å", "ang", "angstrom", "angstroms", "ångström", "ångstrom", "angström"),
        **_factor_of(1e-12, "pm"),
    },
)
ELECTRONVOLTS = UnitTable(
    usual=("eV", "keV", "J"),
    factors={
        **_factor_of(1.0, "ev", "electronvolt", "electronvolts", "electron volt", "electron volts"),
        **_factor_of(1e3, "kev", "kiloelectronvolt", "kiloelectronvolts"),
        **_factor_of(1e6, "MeV", "MEV"),
        **_factor_of(1e9, "gev"),
        **_factor_of(1 / JOULES_PER_EV, "j", "joule", "joules"),
    },
)
"""MeV and GeV are no units of photons at a beamline; a file that says them is understood, and refused for its value."""
SECONDS = UnitTable(
    usual=("s", "ms", "us"),
    factors={
        **_in_words("second", "sec"),
        **_factor_of(1.0, "s"),
        **_factor_of(1e-3, "ms", "msec"),
        **_factor_of(1e-6, "us", "μs", "usec", "μsec"),
        **_factor_of(1e-9, "ns"),
        **_factor_of(60.0, "min", "minute", "minutes"),
    },
)
MILLIAMPERES = UnitTable(
    usual=("mA", "A"), factors={**_factor_of(1.0, "ma"), **_factor_of(1e3, "a", "ampere", "amperes")}
)
"""Of the ring current."""
TABLES = (METRES, ELECTRONVOLTS, SECONDS)


def unit_shown(unit: str) -> str:
    """As people write it; a state has none."""
    return {"um": "µm", "deg": "°", "state": ""}.get(unit, unit)


def is_same_unit(one: str, other: str) -> bool:
    """True if two names mean one unit: `um` and `microns` do, and so do `EV` and `eV`."""
    for table in TABLES:
        if (factor := table.factor(one)) is not None:
            return factor == table.factor(other)
    return plain_unit(one) == plain_unit(other)
