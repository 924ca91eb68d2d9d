"""The first invariant: the same exposures give the same file, whichever source they came through.

One simulated scan is taken by four ways at once or after each other: live over PVA (plain, and with every lossless
codec), live from the NDFileHDF5 file while it grows, offline from that file when it is closed, and from TIFFs with a
sidecar. Positions are those recorded with the frames. The codec is of PVA alone, so one of them goes all four ways, one
three, and the others two.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rig import Rig, start_rig
from tiff_scan import write_tiff_scan

from stream_service.standard_file.rules.validate import validate_file
from stream_service.testing.loopback import LoopbackEpics

N_FRAMES = 24
PREPROCESSING = {
    "frames_per_position": 2,
    "grouping": "sum",
    "allow_spread": True,  # the stage moves on while it takes the frames of a row
    "roi": [24, 31],
    "roi_center": "0.5,0.5",
    "rotate": 90,
    "flip": "h",
    "sat": 1000,
}
COMPARED = (
    *("data", "pos", "mask", "keep"),
    *("frames/unique_id", "frames/n_frames", "frames/energy_eV"),
    *("frames/position_uncertainty_m", "frames/bracket_s"),
)
BY_ATTRIBUTE = {
    "x": {"how": "attribute", "attribute": "posx", "unit": "um"},
    "y": {"how": "attribute", "attribute": "posy", "unit": "um"},
}
FOLLOWED = ("plain", "bslz4")
COMPRESSORS = {"plain": "None", "zlib": "Zlib", "blosc": "Blosc", "lz4": "LZ4", "lz4hdf5": "LZ4HDF5", "bslz4": "BSLZ4"}


@dataclass
class Beamline:
    """A daemon beside a beamline that also writes its frames with HDF1."""

    rig: Rig

    @property
    def profile(self) -> Path:
        return self.rig.folder / "profile.yaml"

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "stream_service.cli", *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def fly(self, n_frames: int) -> None:
        """The stage moves while the detector takes frames, so that every frame has a position of its own."""
        beamline = self.rig.beamline
        beamline.put("X.VELO", 20.0)
        beamline.put("X", 30.0 if beamline.get("X.RBV") < 0 else -30.0, wait=False)
        beamline.acquire(n_frames, exposure_s=0.01, period_s=0.03)
        beamline.put("X.STOP", 1)


@pytest.fixture(scope="module")
def beamline(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Beamline]:
    folder = tmp_path_factory.mktemp("same")
    references = folder / "references.npz"
    ioc = start_ioc("--shape", "40,48", "--photons", "3e5", "--stack", "16", "--references", references)
    rig = start_rig(
        ioc.prefix,
        epics,
        folder,
        channels=BY_ATTRIBUTE,
        preprocessing=PREPROCESSING,
        references={"mask": str(references)},
        detector={"sensor_shape": [40, 48]},
    )
    yield Beamline(rig)
    rig.close()


def contents(path: Path) -> dict[str, np.ndarray]:
    assert [str(finding) for finding in validate_file(path) if finding.level == "error"] == []
    with h5py.File(path) as file:
        return {name: file[f"/entry/{name}"][()] for name in COMPARED}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name in COMPARED:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name, strict=True)


def write_tiffs(raw: Path, folder: Path) -> tuple[str, Path]:
    """Files that a TIFF writer and an archiver would have kept of the same frames."""
    folder.mkdir()
    with h5py.File(raw) as file:
        columns = file["/entry/instrument/NDAttributes"]
        return write_tiff_scan(
            folder,
            file["/entry/data/data"][()],
            unique_ids=columns["NDArrayUniqueId"][()],
            x=columns["posx"][()],
            y=columns["posy"][()],
            unit="um",
            energy_eV=columns["energy"][()],
            exposure_s=columns["AcquireTime"][()],
        )


@pytest.mark.further(but=2)
@pytest.mark.parametrize("codec", COMPRESSORS)
def test_same_scan_gives_the_same_file_by_every_way(beamline: Beamline, codec: str) -> None:
    rig, folder = beamline.rig, beamline.rig.folder
    # one codec also with columns that stay invisible until the file is closed, which is NDFileHDF5's default
    raw = rig.record(codec, N_FRAMES, column_chunk=0 if codec == "plain" else 1)
    rig.beamline.put("Codec1:Compressor", COMPRESSORS[codec])
    rig.beamline.put("Codec1:EnableCallbacks", 1)
    rig.beamline.put("Pva1:NDArrayPort", "SIM1" if codec == "plain" else "CODEC1")
    output = {way: folder / f"{codec}_{way}_std.h5" for way in ("growing", "closed", "tiff")}
    common = ("--profile", beamline.profile)
    follow = ("ingest", "hdf5", "--input", raw, "--output", output["growing"], "--follow", *common)
    growing = beamline.start(*follow) if codec in FOLLOWED else None
    assert rig.arm(f"{codec}_live", n_positions=N_FRAMES // 2, frames_per_position=2) == ""
    beamline.fly(N_FRAMES)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    live = contents(folder / f"{codec}_live_std.h5")
    assert live["data"].shape == (N_FRAMES // 2, 31, 24)
    assert np.ptp(live["pos"][:, 0]) > 1e-6 and 0 < live["mask"].mean() < 0.5 and live["data"].any()
    if growing is not None:
        said, _ = growing.communicate()
        assert growing.returncode == 0, said
        assert_same(contents(output["growing"]), live)

    said = beamline.run("ingest", "hdf5", "--input", raw, "--output", output["closed"], *common)
    assert "areaDetector (NDFileHDF5)" in said and f"{N_FRAMES} of {N_FRAMES} frames stored" in said
    assert_same(contents(output["closed"]), live)

    if codec != "plain":
        return
    pattern, csv = write_tiffs(raw, folder / f"{codec}_tiffs")
    sidecar = folder / f"{codec}_sidecar.h5"
    beamline.run("sidecar", "--frames", pattern, "--csv", csv, "--output", sidecar, "--stage-map=-1,0,0,-1")
    beamline.run("ingest", "tiff", "--pattern", pattern, "--sidecar", sidecar, "--output", output["tiff"], *common)
    assert_same(contents(output["tiff"]), live)
