"""Each beamline's layout: set by a plan, written by the simulated HDF1, and ingested into a standard file."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import epics
import h5py
import numpy as np
import pytest
import yaml
from bluesky import RunEngine
from limits import HANG_S
from typer.testing import CliRunner

from ptychostream_devices import LayoutError, PtychoDetector, ScanStage, raw_file_plugin
from ptychostream_plans import ptycho_positions
from stream_service.cli import main as cli
from stream_service.settings.beamlines import layouts_folder
from stream_service.standard_file import validate_file

BEAMLINES = ("hermes", "xrnf", "aps_2idd", "aps_26id", "template")
LAYOUTS = ("beamline_cxi_layout.xml", "beamline_minimal_layout.xml")
POSITIONS_M = [(0.0, 0.0), (1e-6, 0.0), (1e-6, -2e-6)]
EXPOSURE_S = 0.004


@dataclass
class Bench:
    """A stage, a RunEngine, and the prefix of the detector."""

    prefix: str
    stage: ScanStage
    engine: RunEngine

    def detector(self, raw: Path, layout: Path, attributes: Path | None) -> PtychoDetector:
        made = PtychoDetector(
            self.prefix, name="detector", write_path_template=str(raw), layout=layout, attributes=attributes
        )
        made.hdf.blocking_callbacks.put("Yes")
        return made

    def scan(self, detector: PtychoDetector, scan_id: str) -> None:
        self.engine(
            ptycho_positions(detector, self.stage, positions_m=POSITIONS_M, exposure_s=EXPOSURE_S, scan_id=scan_id)
        )


@pytest.fixture(scope="module")
def bench(start_ioc: Callable[..., Any]) -> Bench:
    prefix = start_ioc("--shape", "32,48", "--stack", "4").prefix
    stage = ScanStage(prefix, name="stage")
    stage.wait_for_connection(timeout=HANG_S)
    return Bench(prefix, stage, RunEngine({}, context_managers=[]))


def beamline_at(prefix: str, beamline: str, folder: Path) -> Path:
    """A copy of a beamline's folder with the simulated beamline's PVs, and the units those have (um and eV)."""
    for path in (layouts_folder() / beamline).iterdir():
        text = path.read_text(encoding="utf-8").replace("PLACEHOLDER:", prefix).replace("keV", "eV")
        if path.suffix == ".xml":
            text = re.sub(r'(stage [xy], )m"', r'\1um"', text)
            text = re.sub(r'("POS[XY]">\s*<attribute name="units" source="constant" value=)"m"', r'\1"um"', text)
        (folder / path.name).write_text(text, encoding="utf-8")
    profile = yaml.safe_load((folder / "profile.yaml").read_text(encoding="utf-8"))
    for axis in ("x", "y"):
        profile["channels"][axis]["unit"] = "um"
    profile["preprocessing"] = {}
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return result.output


def promised(readme: Path) -> dict[str, str]:
    """From dataset to type, as a README's table of the raw file has them."""
    rows = re.findall(r"^\| (`/entry/[^|]*) \| ([^|]*) \|", readme.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {name: kind for names, kind in rows for name in re.findall(r"`([^`]+)`", names)}
    return {name: kind for name, kind in named.items() if "..." not in name}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("beamline", BEAMLINES)
def test_layout_is_written_as_promised_and_ingested(bench: Bench, tmp_path: Path, beamline: str, layout: str) -> None:
    folder = beamline_at(bench.prefix, beamline, tmp_path)
    profile, rendered = str(folder / "profile.yaml"), folder / f"rendered_{layout}"
    run("layout", "render", str(folder / layout), "--profile", profile, "--out", str(rendered))
    bench.scan(bench.detector(tmp_path, rendered, folder / "attributes.xml"), "scan")
    settings = yaml.safe_load((folder / "profile.yaml").read_text(encoding="utf-8"))["detector"]
    with h5py.File(tmp_path / "scan_raw.h5") as file:
        frames = file["/entry/data/data"][()]
        assert frames.shape == (3, 32, 48)
        columns = promised(folder / "README.md")
        assert len(columns) == 11
        if "minimal" in layout:
            columns = {
                name: kind for name, kind in columns.items() if re.search("posx|posy|energy|expos|unique|_m$", name)
            }
        for name, kind in columns.items():
            dtype = re.search(r"float64|int32|uint32", kind)
            assert dtype is None or file[name].dtype == dtype[0], name
            assert file[name].shape[:1] == ((3,) if "(N" in kind else ()), name
        assert file["/entry/det_dist_m"][()] == settings["distance_m"]
        assert file["/entry/pixel_m"][()] == settings["pixel_m"]
        assert np.diff(file["/entry/unique_id"][()]).tolist() == [1, 1]
        if "cxi" in layout:
            assert file["/entry_1/instrument_1/detector_1/data"] == file["/entry/data/data"]
            assert file["/entry_1/instrument_1/detector_1/distance"] == file["/entry/det_dist_m"]
        else:
            assert {"NDArrayTimeStamp", "NDArrayEpicsTSSec", "NDArrayEpicsTSnSec"} <= set(file["/entry/NDAttributes"])
    out = tmp_path / "scan_std.h5"
    run("ingest", "hdf5", "--input", str(tmp_path / "scan_raw.h5"), "--output", str(out), "--profile", profile)
    assert [finding for finding in validate_file(out) if finding.level == "error"] == []
    with h5py.File(out) as file:
        assert np.array_equal(file["/entry/data"][()], frames.astype(np.float32))
        np.testing.assert_allclose(file["/entry/pos"][()], POSITIONS_M, atol=2e-9)
        assert file["/entry/frames/exposure_s"][()].tolist() == [EXPOSURE_S] * 3
        assert file["/entry/frames/energy_eV"][()].tolist() == [710.0] * 3
        assert file["/entry/det_dist_m"][()] == settings["distance_m"]
        assert file["/entry/keep"][()].all()


def test_wrong_layout_is_refused_before_any_ioc_sees_it(tmp_path: Path, bench: Bench) -> None:
    layout = tmp_path / "layout.xml"
    good = (layouts_folder() / "hermes" / LAYOUTS[1]).read_text(encoding="utf-8")
    layout.write_text(good.replace('source="detector"', 'source="NDArray"'))
    with pytest.raises(LayoutError, match=r"layout.xml, line \d+: no dataset takes the frames"):
        bench.detector(tmp_path, layout, None)
    layout.write_text(good.replace('<group name="data">', '<group name="detector">'))
    with pytest.raises(LayoutError, match="no frames at /entry/data/data"):
        bench.detector(tmp_path, layout, None)


def test_layout_that_the_ioc_does_not_find_fails_before_the_scan(tmp_path: Path, bench: Bench) -> None:
    folder = beamline_at(bench.prefix, "hermes", tmp_path)
    detector = bench.detector(tmp_path, folder / LAYOUTS[0], folder / "attributes.xml")  # too long to be sent itself
    (folder / LAYOUTS[0]).unlink()
    with pytest.raises(LayoutError, match="XML description file cannot be opened"):
        bench.scan(detector, "lost")
    (folder / "attributes.xml").unlink()
    with pytest.raises(LayoutError, match=r"does not take the attributes file .*: File not found"):
        bench.scan(detector, "lost")
    assert not (tmp_path / "lost_raw.h5").exists()
    assert detector.cam.acquire.get() == 0 and detector.hdf.capture.get() == 0


def test_the_iocs_answer_is_read_whole_whatever_was_heard_before(tmp_path: Path, bench: Bench) -> None:
    folder = beamline_at(bench.prefix, "hermes", tmp_path)
    detector = bench.detector(tmp_path, folder / LAYOUTS[0], folder / "attributes.xml")
    message = detector.hdf.xml_error_msg
    detector.hdf.xml_file_name.put("/no/such/layout.xml", wait=True)
    deadline_s = time.monotonic() + HANG_S
    while message.get() == "":
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    pv = message._read_pv
    pv._args.update(value=None, count=1)  # as between a subscription and its first value, an empty text
    assert message.get() == "X"
    epics.ca.get_with_metadata(pv.chid, ftype=pv.ftype, count=1, wait=False)  # another such get is under way
    assert raw_file_plugin.whole_text(message) == "XML description file cannot be opened"
