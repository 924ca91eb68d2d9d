"""Warnings on numbers before the first frame: an energy that no photon has, a unit that the IOC contradicts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError
from scripted_run import profile_for

from stream_service.run.live.check_attributes import Latest
from stream_service.run.live.check_numbers import check_energy, unit_problem
from stream_service.settings.profile import Profile


def with_channel(profile: Profile, name: str, **changes: object) -> Profile:
    changed = profile.channels[name].model_copy(update=changes)
    return profile.model_copy(update={"channels": {**profile.channels, name: changed}})


@pytest.mark.parametrize(
    ("energy_eV", "said"),
    [
        (700.0, None),
        (0.7, "the photon energy (NDAttribute energy, in eV by the profile) is 0.7 eV, outside 10 to 200000 eV"),
        (0.0, "is 0 eV, outside"),
        (math.nan, "the photon energy is not known: NDAttribute energy has no value"),
    ],
)
def test_an_energy_that_cannot_be_meant_is_told(tmp_path: Path, energy_eV: float, said: str | None) -> None:
    found = [finding.text for finding in check_energy(profile_for(tmp_path), {"energy": energy_eV}, {})]
    assert len(found) == (said is not None) and (said is None or said in found[0])


def test_the_pv_tells_where_no_frame_does(tmp_path: Path) -> None:
    profile = with_channel(profile_for(tmp_path), "energy", pv="MONO:E", unit="keV")
    assert not list(check_energy(profile, {}, {"energy": Latest(0.7, 0)}))
    (found,) = check_energy(profile, {}, {"energy": Latest(700.0, 0)})
    assert "the photon energy (MONO:E, in keV by the profile) is 700000 eV, outside" in found.text


@pytest.mark.parametrize("unit", ["", "um", "Microns", "\u00b5m", "micrometer"])
def test_a_unit_that_is_the_profiles_or_none_is_no_problem(tmp_path: Path, unit: str) -> None:
    assert unit_problem(profile_for(tmp_path), "x", unit) == ""


@pytest.mark.parametrize("unit", ["mm", "nm", "deg", "millimeters"])
def test_another_unit_of_the_motor_is_told(tmp_path: Path, unit: str) -> None:
    said = f"the profile says SIM:X is in um, the IOC says {unit}: correct the profile"
    assert unit_problem(profile_for(tmp_path), "x", unit) == said


@pytest.mark.parametrize("unit", ["mm", "millimeters", "MM", "cm", "Microns"])
def test_a_profile_may_spell_a_unit_as_people_do(tmp_path: Path, unit: str) -> None:
    profile = profile_for(tmp_path).model_dump()
    profile["channels"]["x"]["unit"] = unit
    factor = {"m": 1e-3, "c": 1e-2}.get(unit[0].lower(), 1e-6) if unit != "Microns" else 1e-6
    assert Profile.model_validate(profile).scale_of("x") == factor


@pytest.mark.parametrize(("field", "value"), [("distance_m", 120.0), ("pixel_m", 75.0)])
def test_a_profile_whose_geometry_cannot_be_meant_is_refused(tmp_path: Path, field: str, value: float) -> None:
    profile = profile_for(tmp_path).model_dump()
    profile["detector"][field] = value
    with pytest.raises(ValidationError, match=f"{field} is {value:g} m, outside"):
        Profile.model_validate(profile)
