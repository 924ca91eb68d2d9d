"""Names of units."""

from __future__ import annotations

import pytest

from stream_service.text.units import is_same_unit


@pytest.mark.parametrize(
    ("one", "other"), [("um", "microns"), ("µm", "um"), ("EV", "eV"), ("keV", "kev"), ("mA", "mA")]
)
def test_names_of_one_unit_are_the_same(one: str, other: str) -> None:
    assert is_same_unit(one, other) and is_same_unit(other, one)


@pytest.mark.parametrize(("one", "other"), [("um", "mm"), ("eV", "keV"), ("mA", "MA"), ("um", "eV"), ("m", "")])
def test_other_units_are_not(one: str, other: str) -> None:
    assert not is_same_unit(one, other) and not is_same_unit(other, one)
