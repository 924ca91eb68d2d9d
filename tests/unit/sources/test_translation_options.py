"""The translation of a CXI file, of sample or probe: asked for only where it counts, and the same everywhere."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from iocsim.physics.beamline import BeamlineConfig, make_beamline
from stream_service.cli import main as cli

NOTE = "is taken as the motion of the sample"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.cxi"
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"], detector["distance"], detector["x_pixel_size"] = np.ones((4, 6, 8), np.uint16), 0.1, 75e-6
        source = file.create_dataset("entry_1/instrument_1/source_1/energy", data=700.0)
        source.attrs["units"] = "eV"
        file["entry_1/sample_1/geometry_1/translation"] = np.arange(12).reshape(4, 3) * 1e-6
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    (tmp_path / "log.csv").write_text("frame_index,posx_um,posy_um\n" + "".join(f"{i},{i},{-i}\n" for i in range(4)))
    return path


@pytest.mark.parametrize("command", [["ingest", "hdf5"], ["replay"]])
@pytest.mark.parametrize("is_apart", [False, True])
def test_the_sign_is_not_in_question_where_positions_are_recorded_apart(
    scan: Path, command: list[str], is_apart: bool
) -> None:
    out = scan.with_name("out" if command == ["replay"] else "out.h5")
    words = [*command, str(scan), "--output", str(out), "--exposure-s", "0.01"]
    words += ["--readbacks", str(scan.with_name("log.csv"))] if is_apart else []
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert (NOTE in result.output) is not is_apart


@pytest.mark.parametrize(("probe_moves", "sign"), [(False, -1), (True, 1)])
def test_the_simulated_beamline_takes_it_too(scan: Path, probe_moves: bool, sign: int) -> None:
    beamline = make_beamline(BeamlineConfig(replay=scan, probe_moves=probe_moves))
    assert beamline.replay is not None
    np.testing.assert_allclose(beamline.replay.positions_m, sign * np.arange(12).reshape(4, 3)[:, :2] * 1e-6)
    beamline.close()
