"""The standard files that other programs are given: of every kind, a real scan, and that of the demo if there is one.

This environment has none of our code, so the file is written by the project's own environment, and what must be found
in it is read by plain h5py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
WRITER = Path(os.environ.get("PTYCHOSTREAM_PYTHON", CHECKOUT / ".venv" / "bin" / "python"))
DEMO = Path(os.environ.get("PTYCHOSTREAM_DEMO", CHECKOUT / "demo-output")) / "demo_std.h5"
N_ROWS = 12
DATA = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
P25 = DATA / "petra3_p25_nearfield.cxi"
KINDS = {
    "complete": f"write_example(path, {N_ROWS}, mask=(bits != 0).astype(np.uint8), pixel_mask=bits)",
    "grouped": f"write_example(path, {N_ROWS}, frames_per_row=3)",
    "aborted": f"""
with StandardFile.create(path, example_header({2 * N_ROWS})) as file:
    append_example_rows(file, 0, {N_ROWS})
    file.set_state("ABORTED", "aborted by the operator", START_NS + 1)
""",
}
WRITE = """
import sys
import numpy as np
from stream_service.testing.example_file import *
path = sys.argv[1]
bits = np.zeros((6, 8), np.uint32)
bits[0, 1], bits[5, 7] = 0x4, 0x200
"""


class Expected:
    """Content we wrote, as the `/entry` half of the file has it."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            self.frames = np.asarray(entry["data"])
            self.beam_m = np.asarray(entry["pos"])
            self.is_good = np.asarray(entry["mask"]) == 0
            self.energy_eV = float(entry["energy_eV"][()])
            self.det_dist_m = float(entry["det_dist_m"][()])
            self.pixel_m = float(entry["pixel_m"][()])


@pytest.fixture(scope="session", params=[*KINDS, "recorded", "demo"])
def standard_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "demo":
        if not DEMO.exists():
            pytest.skip(f"there is no {DEMO}: run make demo first")
        return DEMO
    path = tmp_path_factory.mktemp("interop") / f"{request.param}_std.h5"
    if request.param == "recorded":
        if not P25.exists():
            pytest.skip(f"the real scan {P25.name} is not in PTYCHOSTREAM_TEST_DATA")
        ingest = ["-m", "stream_service.cli", "ingest", "hdf5", "--input", P25, "--output", path]
        subprocess.run([WRITER, *ingest], check=True, cwd=CHECKOUT)
    else:
        subprocess.run([WRITER, "-c", WRITE + KINDS[request.param], path], check=True)
    return path


GROW = """
with StandardFile.create(path, example_header(24)) as file:
    append_example_rows(file, 0, 12)
    file.flush()
    print("growing", flush=True)
    sys.stdin.readline()
"""
RECONSTRUCT = """
from pathlib import Path
from stream_service.ptycho.image.image_file import Reconstruction, write_image
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.reconstruct import kept_positions_xy_m
from stream_service.ptycho.scan_file import ScanFile
data = Path(path).with_name("scan_std.h5")
write_example(data, 12, frame_shape=(16, 20))
scan = ScanFile.read(data)
image, probe = np.ones((40, 50), np.complex64), np.ones((1, 16, 16), np.complex64)
ptyr = Ptyr(image, probe, scan.sample_pixel_yx_m((16, 16)), (0.0, 0.0), ("DM",), np.ones((1, 3)), None)
write_image(Path(path), Reconstruction(scan, ptyr, kept_positions_xy_m(scan), "", "0"), force=False)
"""


@pytest.fixture(scope="session")
def growing_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A standard file that its writer has open, as long as the tests run."""
    path = tmp_path_factory.mktemp("interop") / "growing_std.h5"
    writer = subprocess.Popen(
        [WRITER, "-c", f"from stream_service.standard_file.write.swmr_file import StandardFile\n{WRITE}{GROW}", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None and writer.stdout.readline() == "growing\n"
        yield path
        writer.communicate("\n", timeout=60)


@pytest.fixture(scope="session")
def reconstruction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("interop") / "scan_recon.cxi"
    subprocess.run([WRITER, "-c", WRITE + RECONSTRUCT, path], check=True)
    return path


@pytest.fixture
def expected(standard_file: Path) -> Expected:
    return Expected(standard_file)
