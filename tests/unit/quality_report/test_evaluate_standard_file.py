"""`ptychostream evaluate` on a standard file: features, rejection, regions, wrong options, --apply; on a real scan."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from evaluate_command import INGEST, array, digest, run
from evaluated_scans import DIM, MOVED, positions_m, write_cxi

from stream_service.standard_file import paths, validate_file

DATA = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
P25 = DATA / "petra3_p25_nearfield.cxi"


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same scan as a standard file."""
    folder = tmp_path_factory.mktemp("standard")
    cxi = write_cxi(folder / "scan.cxi")
    run("ingest", "hdf5", cxi, "--output", folder / "scan_std.h5", *INGEST)
    return folder / "scan_std.h5"


@pytest.fixture
def own(standard: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copyfile(standard, tmp_path / "scan_std.h5"))


def test_where_a_frame_is_lost_the_json_names_positions_for_ingest(own: Path, tmp_path: Path) -> None:
    with h5py.File(own, "r+") as file:
        file[paths.UNIQUE_ID][20:] += 1
    run("evaluate", own, "--out", tmp_path, "--emit-ptypy-json", tmp_path / "rows.json", "--reject-topk", "2")
    document = json.loads((tmp_path / "rows.json").read_text())
    assert (document["reject_indices"], document["reject_positions"]) == ([DIM, MOVED], [DIM + 1, MOVED + 1])
    again = tmp_path / "again_std.h5"
    words = ("--reject-json", tmp_path / "rows.json", *INGEST)
    run("ingest", "hdf5", own, "--output", again, *words, code=1)  # a frame is lost
    with h5py.File(again) as file:
        assert np.flatnonzero(np.asarray(file[paths.KEEP]) == 0).tolist() == [DIM, MOVED]


def test_standard_file_is_judged_by_its_features_as_by_its_pixels(standard: Path, own: Path, tmp_path: Path) -> None:
    said = run("evaluate", standard, "--out", tmp_path / "stored")
    assert "by the features stored with them" in said
    with h5py.File(own, "r+") as file:
        del file[f"{paths.FEATURES}/cells"]
    said = run("evaluate", own, "--out", tmp_path / "measured")
    assert "as measured on their pixels" in said
    for name in ("outlier_score", "stxm", "dpcx", "dpcy"):
        assert array(tmp_path / "measured", name) == pytest.approx(array(tmp_path / "stored", name), abs=1e-6), name
    for name in ("accept_indices", "reject_indices"):
        assert array(tmp_path / "measured", name).tolist() == array(tmp_path / "stored", name).tolist()
    assert {DIM, MOVED} <= set(array(tmp_path / "stored", "reject_indices").tolist())


def test_scores_are_those_that_the_run_stored(standard: Path, tmp_path: Path) -> None:
    run("evaluate", standard, "--out", tmp_path, "--thumbs-topk", "0")
    with h5py.File(standard) as file:
        stored = np.asarray(file[f"{paths.QC}/score"])
    assert array(tmp_path, "outlier_score") == pytest.approx(stored, abs=1e-6)


@pytest.mark.further
def test_cxi_and_the_standard_file_made_of_it_agree(standard: Path, tmp_path: Path) -> None:
    cxi = write_cxi(tmp_path / "scan.cxi")
    for file, out in ((cxi, "cxi"), (standard, "standard")):
        run("evaluate", file, "--out", tmp_path / out)
    for name in ("outlier_score", "stxm", "dpcx", "dpcy"):
        assert array(tmp_path / "cxi", name) == pytest.approx(array(tmp_path / "standard", name), abs=1e-6), name


@pytest.mark.further(but=2)
@pytest.mark.parametrize(
    ("words", "n_rejected"),
    [(("--reject-topk", "5"), 5), (("--reject-topp", "0.1"), 10), (("--reject-thresh", "0"), 100), ((), 2)],
)
def test_rejection(standard: Path, tmp_path: Path, words: tuple[str, ...], n_rejected: int) -> None:
    run("evaluate", standard, "--out", tmp_path, *words, "--thumbs-topk", "0")
    rejected = array(tmp_path, "reject_indices")
    assert len(rejected) == n_rejected
    assert {DIM, MOVED} <= set(rejected.tolist())


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rect", "-2.5", "0", "4.2um", "20"), "the rectangle of 4.2 µm x 20 µm about x -2.5 µm, y 0 µm"),
        (("--circ", "0", "0", "0.003mm"), "the circle of radius 0.003 mm about x 0 µm, y 0 µm"),
    ],
)
def test_region_is_echoed_and_leaves_the_rest_alone(
    standard: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    assert said in run("evaluate", standard, "--out", tmp_path, *words)
    x_um, y_um = positions_m().T * 1e6
    inside = np.abs(x_um + 2.5) <= 2.1 if words[0] == "--rect" else np.hypot(x_um, y_um) <= 3
    mask = array(tmp_path, "mask_indices")
    assert mask.tolist() == np.flatnonzero(inside).tolist()
    score = array(tmp_path, "outlier_score")
    assert np.isfinite(score[mask]).all() and np.isnan(np.delete(score, mask)).all()
    both = sorted([*array(tmp_path, "accept_indices"), *array(tmp_path, "reject_indices")])
    assert both == mask.tolist()
    assert json.loads((tmp_path / "qc_meta.json").read_text())["region"]["said"] == said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--rect", "0", "0", "1um", "1", "--circ", "0", "0", "1"), 2, "--rect and --circ exclude each other"),
        (("--rect", "500", "0", "1", "1"), 2, "no row lies in the rectangle .*: positions go in x from -4.5 to 4.5 µm"),
        (("--reject-topk", "1", "--reject-thresh", "1"), 2, "exclude each other"),
        (("--reject-topp", "1.5"), 2, "--reject-topp 1.5 must lie between 0 and 1"),
        (("--bin", "100"), 2, "--bin 100 is more than the 48 x 48 pixels"),
        (("--roi", "1,2,3"), 2, "--roi '1,2,3' is not a size"),
        (("--data-path", "/nowhere"), 1, "has no dataset /nowhere"),
        (("--pos-x-path", "/entry/mask"), 1, "positions are"),
    ],
)
def test_wrong_options_are_one_sentence(
    standard: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    found = run("evaluate", standard, "--out", tmp_path / "out", *words, code=code)
    assert re.search(said, found), found


def test_outputs_are_no_inputs_and_no_files(standard: Path, own: Path, tmp_path: Path) -> None:
    assert "is not a folder" in run("evaluate", standard, "--out", own, code=1)
    found = run("evaluate", own, "--out", tmp_path / "out", "--emit-ptypy-json", own, code=1)
    assert "is one of the files that are read" in found
    link = tmp_path / "again" / "qc_meta.json"
    link.parent.mkdir()
    os.link(own, link)
    assert "is one of the files that are read" in run("evaluate", own, "--out", link.parent, code=1)
    assert digest(own) == digest(standard)


@pytest.mark.further
def test_a_second_evaluation_replaces_the_first(standard: Path, tmp_path: Path) -> None:
    for n_thumbs in ("9", "4"):
        run("evaluate", standard, "--out", tmp_path, "--thumbs-topk", n_thumbs)
    assert len(list((tmp_path / "thumbs").glob("*.png"))) == 4


@pytest.mark.further
def test_without_out_the_folder_stands_beside_the_file(own: Path) -> None:
    run("evaluate", own, "--thumbs-topk", "0")
    assert (own.parent / "scan_quality" / "qc_meta.json").is_file()


def test_rows_without_a_position_are_told_and_not_in_the_maps(own: Path, tmp_path: Path) -> None:
    with h5py.File(own, "r+") as file:
        for path in (paths.POS_X, paths.POS):
            file[path][[3, 8]] = np.nan
    said = run("evaluate", own, "--out", tmp_path / "out")
    assert "the position of 2 rows is not known" in said
    assert {3, 8} <= set(array(tmp_path / "out", "reject_indices").tolist())
    said = run("evaluate", own, "--out", tmp_path / "out", "--circ", "0", "0", "1mm")
    assert not {3, 8} & set(array(tmp_path / "out", "mask_indices").tolist())


def test_apply_changes_the_file_and_nothing_but_its_verdicts(own: Path, tmp_path: Path) -> None:
    with h5py.File(own, "r+") as file:
        file[paths.FLAGS][[9, DIM]] = 1  # a row that is flagged, and left out by others, has no position to be trusted
    words = ("evaluate", own, "--out", tmp_path / "out", "--apply", "--thumbs-topk", "0")
    said = run(*words)
    assert f"{own} says so now: /entry/keep" in said
    assert [finding for finding in validate_file(own) if finding.level == "error"] == []
    rejected = array(tmp_path / "out", "reject_indices").tolist()
    with h5py.File(own) as file:
        assert np.flatnonzero(np.asarray(file[paths.KEEP]) == 0).tolist() == rejected
        assert np.flatnonzero(np.asarray(file[paths.TAGS])).tolist() == rejected
        assert np.asarray(file[paths.SCORE]) == pytest.approx(array(tmp_path / "out", "outlier_score"), abs=0)
    once, scores = digest(own), array(tmp_path / "out", "outlier_score")
    run(*words)
    assert digest(own) == once, "the same verdicts change nothing"
    assert (array(tmp_path / "out", "outlier_score") == scores).all(), "what was written is no reason for a score"


def test_verdicts_are_not_written_into_a_write_protected_file(own: Path, tmp_path: Path) -> None:
    before = digest(own)
    own.chmod(0o444)
    said = run("evaluate", own, "--out", tmp_path / "out", "--apply", code=1)
    assert "is write-protected" in said and digest(own) == before


@pytest.mark.further
def test_few_rows_and_all_rows_are_told_as_such(own: Path, tmp_path: Path) -> None:
    words = ("evaluate", own, "--out", tmp_path / "out", "--thumbs-topk", "0")
    assert "(100 %) are rejected" in run(*words, "--reject-topp", "1")
    assert "fewer than 12 rows do not tell what is usual, and here are 4" in run(
        *words, "--rect", "0", "0", "1.1", "1.1"
    )


@pytest.mark.skipif(not P25.is_file(), reason=f"the real scan {P25.name} is not in PTYCHOSTREAM_TEST_DATA")
def test_the_real_scan_has_no_bad_rows_and_is_only_read(tmp_path: Path) -> None:
    before = digest(P25)
    run("evaluate", P25, "--out", tmp_path, "--thumbs-topk", "4")
    assert digest(P25) == before
    assert len(array(tmp_path, "outlier_score")) == 200
    assert len(array(tmp_path, "reject_indices")) <= 1


@pytest.mark.parametrize("path", [f"{paths.FRAMES}/flags", f"{paths.FEATURES}/n_zero"])
def test_a_column_of_another_shape_is_told_in_a_sentence(own: Path, tmp_path: Path, path: str) -> None:
    with h5py.File(own, "r+") as file:
        values = np.asarray(file[path])
        del file[path]
        file[path] = np.stack([values, values], axis=-1)
    said = run("evaluate", own, "--out", tmp_path / "out", code=1)
    assert f"{own}:{path} is (100, " in said and "it must be (100," in said and "\n" not in said


@pytest.mark.further
def test_numbers_that_do_not_fit_into_a_column_are_no_warning(own: Path, tmp_path: Path) -> None:
    with h5py.File(own, "r+") as file:
        del file[f"{paths.FEATURES}/n_zero"]
        file[f"{paths.FEATURES}/n_zero"] = np.full(100, np.nan)
    run("evaluate", own, "--out", tmp_path / "out", "--thumbs-topk", "0")
