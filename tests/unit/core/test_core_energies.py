"""The one energy of a run: a mean of what is one energy, never of several; what is off or unknown is told."""

from __future__ import annotations

import math

import pytest

from stream_service.core.energies import RowEnergies


def energies(*rows: float) -> RowEnergies:
    found = RowEnergies()
    for row in rows:
        found.add(row)
    return found


def test_one_energy_with_its_drift_is_a_mean_and_not_told() -> None:
    found = energies(700.0, 700.2, 700.1)
    assert found.energy_eV == pytest.approx(700.1) and list(found.notes()) == []


def test_a_change_in_mid_run_is_no_mean() -> None:
    found = energies(*[700.0] * 11, *[900.0] * 9)
    assert found.energy_eV == 700.0 and found.n_off == 9
    (said,) = found.notes()
    assert "changed during the run, from 700 to 900 eV: the file's one energy is 700 eV, and 9 of 20 rows" in said


def test_an_energy_scan_within_a_run_is_told() -> None:
    found = energies(*(700.0 + step for step in range(51)))
    assert found.energy_eV == 725.0 and found.n_off == 50
    assert "from 700 to 750 eV" in next(found.notes())


@pytest.mark.parametrize("energy_eV", [math.nan, 0.0, 0.7, -700.0, math.inf])
def test_an_energy_that_is_none_is_told_and_not_averaged(energy_eV: float) -> None:
    assert "not known in any row" in next(energies(energy_eV, energy_eV).notes())
    found = energies(700.0, energy_eV)
    assert found.energy_eV == 700.0 and list(found.notes()) == ["the photon energy is not known in 1 of 2 rows"]
    assert math.isnan(energies(energy_eV).energy_eV)


def test_rows_made_of_several_energies_are_told() -> None:
    found = RowEnergies()
    found.add(800.0, spread_eV=200.0)
    assert list(found.notes()) == ["1 of 1 row combines frames of different photon energies"]


def test_no_row_says_nothing() -> None:
    assert list(RowEnergies().notes()) == [] and math.isnan(RowEnergies().energy_eV)


def test_rows_within_the_tolerance_of_the_one_energy_are_not_called_off() -> None:
    found = energies(*(700.0 + 0.01 * row for row in range(100)))  # a drift of 0.14 %, less than 0.1 % to either side
    assert not found.is_one and found.n_off == 0 and list(found.notes()) == []
