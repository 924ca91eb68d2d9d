"""The photon energy of a live run: a change in its middle, or none at all, is in the message and in the file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import Message
from scripted_run import Bench

from stream_service.core.run import RunState
from stream_service.errors import ConfigError
from stream_service.standard_file import validate_file

NOT_KNOWN = "the photon energy is not known in any row"


def frame(n: int, *attributes: tuple[str, Any]) -> list[Any]:
    pixels = np.full((6, 8), n, np.uint16)
    message = Message(unique_id=n, seconds=1_795_218_868, nanoseconds=n * 1_000_000, attributes=list(attributes))
    message.pixels, message.sizes = pixels.reshape(-1), [8, 6]
    return [message.build()]


def run_of(bench: Bench, *energies: float | None) -> None:
    frames = [
        frame(n, *([] if energy_eV is None else [("energy", energy_eV)])) for n, energy_eV in enumerate(energies, 1)
    ]
    bench.play(*frames, bench.exposed(len(energies)), bench.detector_stops)
    assert bench.run.state is RunState.COMPLETE


def test_an_energy_that_changes_in_mid_run_is_told_and_is_no_mean(tmp_path: Path) -> None:
    bench = Bench(tmp_path, n_positions=5)
    run_of(bench, 700.0, 700.0, 700.0, 900.0, 900.0)
    said = "changed during the run, from 700 to 900 eV: the file's one energy is 700 eV, and 2 of 5 rows are off"
    assert said in bench.run.message
    opened: Any = bench.file()
    with opened as file:
        assert file["/entry/energy_eV"][()] == 700
        assert file["/entry/frames/energy_eV"][()].tolist() == [700, 700, 700, 900, 900]
        assert said in file["/entry/run/message"][()].decode()
    told = [str(finding) for finding in validate_file(bench.run.setup.path)]
    assert any("runs from 700 to 900 eV: 2 of 5 rows are off by more than 0.1%" in one for one in told)


@pytest.mark.parametrize("energy_eV", [None, math.nan, 0.0])
def test_a_run_without_an_energy_says_so_though_it_is_complete(tmp_path: Path, energy_eV: float | None) -> None:
    bench = Bench(tmp_path, n_positions=2)
    run_of(bench, energy_eV, energy_eV)
    assert NOT_KNOWN in bench.run.message and "--energy-eV" in bench.run.message
    assert any(
        "energy_eV" in str(finding) and finding.level == "error" for finding in validate_file(bench.run.setup.path)
    )


def test_one_energy_is_not_talked_about(tmp_path: Path) -> None:
    bench = Bench(tmp_path, n_positions=3)
    run_of(bench, 700.0, 700.05, 700.1)
    assert "energy" not in bench.run.message


def test_an_exposure_that_cannot_be_meant_is_refused_at_arming(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exposure_s of the request is 1e\+06 s, outside 1e-07 to 100000 s"):
        Bench(tmp_path, exposure_s=1e6).run.arm()


def test_a_planned_scan_within_one_pixel_is_told_at_arming(tmp_path: Path) -> None:
    planned = tuple(1e-9 * i for i in range(10))
    last_before = frame(1, ("energy", 700.0))[0]
    bench = Bench(tmp_path, last_before, n_positions=10, planned_x_m=planned, planned_y_m=planned)
    bench.run.arm()
    assert "the planned scan spans 9 nm in all, less than one pixel of the object" in bench.run.message
