"""Features in a finished file are those of its stored frames, measured again from it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.core.row import FEATURES_DTYPE
from stream_service.kernels import measure_rows

SHAPE = (40, 48)


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("references", "words"),
    [
        (True, ["--sat", "5000"]),
        (True, ["--frames-per-pos", "2", "--bin", "2"]),
        (False, ["--rotate", "90", "--flip", "h", "--roi", "33,36"]),
    ],
    ids=["corrected", "grouped and binned", "turned, of whole counts"],
)
def test_features_of_a_file_are_measured_again_to_the_bit(tmp_path: Path, references: bool, words: list[str]) -> None:
    rng = np.random.default_rng(5)
    frames = rng.poisson(rng.exponential(200, (6, *SHAPE))).astype(np.uint16)
    values = {"data": frames, "pos": rng.normal(0, 1e-6, (6, 2)), "energy_eV": 700.0, "det_dist_m": 0.1}
    values |= {"pixel_m": 2e-5, "exposure_s": 0.1, "mask": (rng.random(SHAPE) < 0.05).astype(np.uint8)}
    if references:
        values |= {"dark": rng.uniform(0, 30, SHAPE), "flat": rng.normal(100, 5, SHAPE)}
    source, output = tmp_path / "raw.h5", tmp_path / "std.h5"
    with h5py.File(source, "w") as file:
        for name, value in values.items():
            file[f"entry/{name}"] = value
    result = CliRunner().invoke(cli.app, ["ingest", "hdf5", "--input", str(source), "--output", str(output), *words])
    assert result.exit_code == 0, result.output
    with h5py.File(output) as file:
        stored, mask = file["/entry/data"][()], file["/entry/mask"][()]
        features = {name: file[f"/entry/qc/features/{name}"][()] for name in FEATURES_DTYPE.names or ()}
    again = np.zeros(len(stored), FEATURES_DTYPE)
    again["n_saturated"] = features["n_saturated"]
    measure_rows(stored, mask == 0, again)
    for name, values_of in features.items():
        np.testing.assert_array_equal(values_of, again[name], err_msg=name)
    assert np.isfinite(features["cells"]).any()
