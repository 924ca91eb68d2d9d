"""Recipe and orientation wizard on a simulation that shares no code with the product, with a hard-edged zone plate."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from hard_edged_scan import HardEdgedScan, write_hard_edged_scan
from object_truth import correlation, read_reconstruction, read_truth
from simulated_scan import ingest_hdf5, run_ptychostream
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.ptycho.optics.probe_estimate import estimate_defocus
from stream_service.ptycho.optics.scan_holograms import read_holograms
from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.ptycho.orientation.orient import judge
from stream_service.ptycho.orientation.orient_answer import answer
from stream_service.ptycho.scan_file import ScanFile

FEW = {(0, "none"), (0, "hv"), (90, "none"), (90, "h")}
"""As it is, rotated by 180°, by 90°, and by 90° with a mirror image."""
MOUNTINGS = [
    pytest.param(*mounting, marks=[] if mounting in FEW else pytest.mark.long)
    for mounting in itertools.product((0, 90), ("none", "h", "v", "hv"))
]
SCAN = HardEdgedScan()


@dataclass(frozen=True)
class Simulated:
    """Files that a beamline would have: the detector's and a profile."""

    raw: Path
    truth: Path
    profile: Path
    without_optics: Path

    def ingest(self, output: Path, *options: str, optics: bool = True) -> Path:
        profile = self.profile if optics else self.without_optics
        ingest_hdf5(self.raw, output, "--profile", str(profile), *options)
        return output


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("hard_edged")
    found = Simulated(*(folder / name for name in ("raw.h5", "truth.npz", "profile.yaml", "without_optics.yaml")))
    write_hard_edged_scan(SCAN, found.raw, found.truth)
    found.profile.write_text(yaml.safe_dump(SCAN.profile), encoding="utf-8")
    found.without_optics.write_text(yaml.safe_dump(SCAN.profile | {"optics": {}}), encoding="utf-8")
    return found


@pytest.mark.ptypy
@pytest.mark.usefixtures("ptypy_python")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("iterations", [100, pytest.param(300, marks=pytest.mark.long)])
def test_the_default_recipe_shows_the_truth_however_long_it_runs(
    iterations: int, simulated: Simulated, tmp_path: Path
) -> None:
    data, out = simulated.ingest(tmp_path / "scan_std.h5"), tmp_path / "scan_recon.cxi"
    done = run_ptychostream("reconstruct", str(data), "--output", str(out), "--iters", str(iterations)).stdout
    said = re.search(r"photon error ([\d.]+)", done)
    assert said is not None, done
    assert correlation(*read_reconstruction(out), read_truth(simulated.truth)) >= 0.99
    assert float(said[1]) <= 1.2


@pytest.mark.further(but=2)
@pytest.mark.parametrize(("rotate", "flip"), MOUNTINGS)
def test_orient_is_right_or_undecided_however_the_frames_are_stored(
    rotate: int, flip: str, simulated: Simulated, tmp_path: Path
) -> None:
    path = simulated.ingest(tmp_path / "scan_std.h5", "--rotate", str(rotate), "--flip", flip)
    stored = Orientation.of_profile(rotate, flip)
    scan = ScanFile.read(path)
    seen = read_holograms(scan)

    known = judge(scan, seen)
    assert known.best is not None and known.sign_is_known
    assert known.best.orientation.after(stored) == Orientation(), "what undoes the mounting"
    text = "\n".join(answer(scan, known))
    assert ("is right as it stands" in text) is (stored == Orientation())
    assert ("preprocessing: {rotate: 0, flip: none}" in text) is (stored != Orientation()), (
        "what the profile should have said"
    )

    unknown = replace(scan, optics=scan.optics.model_copy(update={"kind": "unknown", "defocus_m": None}))
    verdict = judge(unknown, seen)
    assert verdict.best is not None and not verdict.sign_is_known
    text = "\n".join(answer(unknown, verdict))
    if stored in (Orientation(), Orientation().upside_down):
        assert verdict.fits_as_it_is(unknown), "the file comes first"
        side = "downstream" if stored == Orientation() else "upstream"
        assert f"is right as it stands if the sample was {side} of the focus" in text
        assumed = estimate_defocus(unknown, seen).defocus_m
        assert assumed == pytest.approx(verdict.defocus_m, rel=0.05), "as reconstruct takes it"
    else:
        assert "is wrong as it stands, on whichever side" in text
    right = text.index("If the sample was downstream") if stored != Orientation() else -1
    assert right < 0 or "preprocessing: {rotate: 0, flip: none}" in text[right:], (
        "the way for the true side is among them"
    )


@pytest.mark.further
def test_orient_asks_for_the_optics_first_where_only_the_side_of_the_focus_tells(
    simulated: Simulated, tmp_path: Path
) -> None:
    path = simulated.ingest(tmp_path / "scan_std.h5", optics=False)
    command = ["orient", str(path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1, "no answer without the side"
    assert "only the side of the focus tells the image from its twin" in done.stdout.splitlines()[0]
    told = CliRunner().invoke(app, [*command, "--defocus", "12e-6"])
    assert told.exit_code == 0, told.output
    assert "is right as it stands: frames and positions fit" in told.stdout


@pytest.mark.long
def test_orient_takes_a_distance_that_is_not_known_well_for_the_side_it_tells(
    simulated: Simulated, tmp_path: Path
) -> None:
    path = simulated.ingest(tmp_path / "scan_std.h5", optics=False)
    about = CliRunner().invoke(app, ["orient", str(path), "--defocus", "30e-6"])
    assert about.exit_code == 0, about.output
    assert "is right as it stands" in about.stdout
