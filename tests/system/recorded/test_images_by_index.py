"""A file that HDF1 of the simulated beamline wrote with PositionMode: ingested, no frame has another's position."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_client import BeamlineClient
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import SourceError

PLACES = [3, 0, 6, 1, 5, 5, 2]
"""The stage's x in um, and the index of the image; row 4 is never reached, row 5 twice: as many values as images."""
OFF_UM = 0.25
"""The index is the whole part of x."""
ATTRIBUTES = (
    '<Attributes><Attribute name="place" type="EPICS_PV" source="$(P)X.RBV" dbrtype="DBR_LONG"/>'
    '<Attribute name="posx" type="EPICS_PV" source="$(P)X.RBV" description="scan x, um"/>'
    '<Attribute name="posy" type="EPICS_PV" source="$(P)Y.RBV" description="scan y, um"/></Attributes>'
)
COLUMNS = "/entry/instrument/NDAttributes"
NUMBERS = ("--energy-eV", "710", "--det-dist-m", "0.1", "--pixel-m", "75e-6", "--exposure-s", "0.02")


@dataclass(frozen=True)
class Written:
    """The raw file, and the image of each index as it is in it."""

    path: Path
    images: np.ndarray


@pytest.fixture(scope="module")
def written(start_ioc: Callable, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("by_index")
    client = BeamlineClient(start_ioc("--shape", "24,32").prefix)
    (folder / "attributes.xml").write_text(ATTRIBUTES)
    client.put("cam1:NDAttributesMacros", f"P={client.prefix}")
    client.put("cam1:NDAttributesFile", str(folder / "attributes.xml"))
    client.put_all(
        HDF1__EnableCallbacks=1,
        HDF1__BlockingCallbacks="Yes",
        HDF1__FilePath=str(folder),
        HDF1__FileName="scan",
        HDF1__FileTemplate="%s%s.h5",
        HDF1__FileWriteMode="Stream",
        HDF1__LazyOpen="Yes",
        HDF1__NumCapture=len(PLACES),
        HDF1__PositionMode="On",
        HDF1__PosNameDimN="place",
    )
    client.put("HDF1:Capture", 1, wait=False)
    client.wait_for("HDF1:Capture_RBV", "Capturing")
    for place in PLACES:
        client.put("X", place + OFF_UM)
        client.acquire(1)
    client.wait_for("HDF1:Capture_RBV", "Done")
    client.close()
    with h5py.File(folder / "scan.h5") as file:
        images = file["/entry/data/data"][()]
        assert file[f"{COLUMNS}/place"][()].tolist() == PLACES
    assert np.flatnonzero(images.any((1, 2))).tolist() == sorted(set(PLACES))
    return Written(folder / "scan.h5", images)


def ingest(raw: Path, output: Path) -> str:
    words = ["ingest", "hdf5", "--input", raw, "--output", output, *NUMBERS]
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    if isinstance(result.exception, SourceError):
        raise result.exception
    assert "6 of 7 frames stored" in result.output, result.output
    return result.output


def test_each_frame_has_its_own_position(written: Written, tmp_path: Path) -> None:
    said = ingest(written.path, tmp_path / "scan_std.h5")
    assert "images stand by the index 'place' (PositionMode)" in said
    assert "1 of 7 rows holds no frame, the first is row 4; left out" in said
    with h5py.File(tmp_path / "scan_std.h5") as file:
        ids, x_m = file["/entry/frames/unique_id"][:, 0], file["/entry/posx_m"][()]
        data, keep = file["/entry/data"][()], file["/entry/keep"][()]
    assert ids.tolist() == [1, 2, 3, 4, 6, 7] and keep.all()
    places = np.array(PLACES)[ids - 1]
    np.testing.assert_allclose(x_m, (places + OFF_UM) * 1e-6, atol=0.05e-6)
    np.testing.assert_array_equal(data, written.images[places])


def test_without_the_index_the_file_is_refused(written: Written, tmp_path: Path) -> None:
    shutil.copy(written.path, tmp_path / "scan.h5")
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        del file[f"{COLUMNS}/place"]
    with pytest.raises(SourceError, match=r"which of its 7 images belongs to which of the 7 values.*DimAttDatasets"):
        ingest(tmp_path / "scan.h5", tmp_path / "scan_std.h5")
    assert not (tmp_path / "scan_std.h5").exists()
