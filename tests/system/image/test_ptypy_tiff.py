"""PtyPy straight from TIFFs gets the same frames, positions and mask as from the standard file. Needs PtyPy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from simulated_scan import run_ptychostream, simulate_scan
from tiff_scan import write_tiff_scan

from stream_service.ptycho.ptypy.ptypy_python import PtypyPython

pytestmark = pytest.mark.ptypy

CHECKOUT = Path(__file__).resolve().parents[3]
REJECTED = [2, 5]
OPTIONS = {
    "frames_per_pos": 2,
    "allow_spread": True,
    "grouping": "mean",
    "roi": "48,48",
    "rotate": 270,
    "flip": "v",
    "sat": 60000,
}
LOAD = """
import json, sys
import numpy as np
import ptypy
import ptypy.utils as u
import stream_service.ptycho.ptypy.tiff_ptyscan
parameters, out = json.loads(sys.argv[1]), sys.argv[2]
p = u.Param()
p.io = u.Param(autosave=u.Param(active=False), interaction=u.Param(active=False), autoplot=u.Param(active=False))
p.scans = u.Param(s1=u.Param(name="BlockFull", data=u.Param(**parameters)))
P = ptypy.core.Ptycho(p, level=2)
scan = P.model.scans["s1"]
np.savez(
    out,
    frames=[view.data for view in scan.diff_views],
    masks=[view.data for view in scan.mask_views],
    positions_yx_m=np.array(scan.positions),
    energy_keV=scan.ptyscan.meta.energy,
    distance_m=scan.ptyscan.meta.distance,
    pixel_m=scan.ptyscan.info.psize,
)
"""


@pytest.fixture(autouse=True)
def same_python(ptypy_python: PtypyPython) -> None:
    if ptypy_python.executable != sys.executable:
        pytest.skip("for TIFFs PtyPy and ptychostream must be in one Python")


@pytest.fixture(scope="module")
def tiffs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A pattern and a sidecar: 20 frames of a bright scan, one file of which is missing."""
    folder = tmp_path_factory.mktemp("tiffs")
    scan = simulate_scan(folder, 20, shape=(64, 72), photons_per_frame=2e7)
    with h5py.File(scan.raw) as raw:
        pos = raw["/entry/pos"][()]
        pattern, csv = write_tiff_scan(
            folder,
            raw["/entry/data"][()],
            x=pos[:, 0],
            y=pos[:, 1],
            energy_eV=710.0,
            det_dist_m=raw["/entry/det_dist_m"][()],
            pixel_m=raw["/entry/pixel_m"][()],
            exposure_s=0.02,
            missing=(7,),
        )
    sidecar = folder / "sidecar.h5"
    run_ptychostream("sidecar", "--frames", pattern, "--csv", str(csv), "--output", str(sidecar))
    return pattern, sidecar


@pytest.mark.parametrize("grouping", ["mean", "sum", "none"])
def test_same_arrays_as_the_standard_file(
    grouping: str, tiffs: tuple[str, Path], ptypy_python: PtypyPython, tmp_path: Path
) -> None:
    pattern, sidecar = tiffs
    rejects = tmp_path / "ptypy_indices.json"
    rejects.write_text(json.dumps({"reject_indices": REJECTED}), encoding="utf-8")
    chosen = OPTIONS | {"grouping": grouping}
    standard, loaded = tmp_path / "scan_std.h5", tmp_path / "loaded.npz"
    options = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in chosen.items()]
    run_ptychostream(
        *("ingest", "tiff", "--pattern", pattern, "--sidecar", str(sidecar), "--output", str(standard)),
        *("--reject-json", str(rejects), *options),
    )
    parameters = {"name": "TiffSidecar", "pattern": pattern, "sidecar": str(sidecar), "reject_json": str(rejects)}
    command = [ptypy_python.executable, "-c", LOAD, json.dumps(parameters | chosen), str(loaded)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with h5py.File(standard) as file, np.load(loaded) as got:
        keep = file["/entry/keep"][()] > 0
        assert 0 < (~keep).sum() < len(keep)
        np.testing.assert_array_equal(got["frames"], file["/entry/data"][()][keep])
        np.testing.assert_array_equal(got["positions_yx_m"], file["/entry/pos"][()][keep][:, ::-1])
        np.testing.assert_array_equal(got["masks"][0], file["/entry/mask"][()] == 0)
        assert float(got["energy_keV"]) == pytest.approx(0.710)
        assert float(got["distance_m"]) == file["/entry/det_dist_m"][()]
        assert np.all(got["pixel_m"] == file["/entry/pixel_m"][()])


def test_the_seeds_recipe_runs(tiffs: tuple[str, Path], ptypy_python: PtypyPython, tmp_path: Path) -> None:
    pattern, sidecar = tiffs
    example = CHECKOUT / "examples" / "ptypy_recipe_tiff.py"
    options = ["--pattern", pattern, "--sidecar", str(sidecar), "--name", "TiffSidecar", "--iters", "5"]
    command = [ptypy_python.executable, str(example), *options, "--optics", "sim", "--out", str(tmp_path / "recon")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.suffix for path in (tmp_path / "recon").iterdir()] == [".ptyr"]
