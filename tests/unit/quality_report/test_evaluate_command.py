"""`ptychostream evaluate`: the seed's line, all its outputs, and files of frames that no run has written."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from evaluate_command import INGEST, array, digest, run
from evaluated_scans import DIM, MOVED, N_ROWS, SIDE, positions_m, write_cxi, write_seed_layout
from matplotlib.image import imread

from stream_service.quality_report.report import NAMES
from stream_service.standard_file import paths

SEEDS_LINE = """ptychostream evaluate /path/to/data.cxi \\
  --data-path /entry_1/data/data \\
  --pos-x-path /entry_1/instrument/positioners/x \\
  --pos-y-path /entry_1/instrument/positioners/y \\
  --roi 1024 --bin 4 --embed-side 32 --pca-k 12 --w-feat 0.5 \\
  --reject-topp 0.02 --rect 0 0 50 50 \\
  --emit-ptypy-json qc_run/ptypy_indices.json \\
  --thumbs-topk 48 --thumbs-size 256 \\
  --out qc_run"""


@pytest.fixture(scope="module")
def seed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the seed's line was run, as a program of its own, but for the place of the file."""
    folder = tmp_path_factory.mktemp("seed")
    file = write_seed_layout(folder / "data.cxi")
    before = digest(file)
    line = SEEDS_LINE.replace("ptychostream ", f"{sys.executable} -m stream_service.cli ", 1)
    line = line.replace("/path/to/data.cxi", str(file))
    done = subprocess.run(line, shell=True, cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert digest(file) == before
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_the_seeds_line_makes_all_its_outputs_and_says_what_it_found_in_three_sentences(seed_run: Path) -> None:
    out = seed_run / "qc_run"
    assert {path.name for path in out.iterdir()} == {*NAMES, "ptypy_indices.json"}
    sentences = (seed_run / "said.txt").read_text().strip().splitlines()
    assert len(sentences) == 3
    assert "100 rows of 48 x 48 pixels" in sentences[0] and "50 µm x 50 µm about x 0 µm, y 0 µm" in sentences[0]
    assert re.search(r"2 rows \(2 %\) are rejected \(the worst 2 % of the rows\): ", sentences[1]), sentences[1]
    assert "qc_run" in sentences[2] and "is as it was" in sentences[2]


def test_the_bad_rows_are_the_worst(seed_run: Path) -> None:
    out = seed_run / "qc_run"
    score = array(out, "outlier_score")
    assert score.shape == (N_ROWS,) and ((score >= 0) & (score <= 1)).all()
    assert set(np.argsort(-score)[:2].tolist()) == {DIM, MOVED}
    assert array(out, "reject_indices").tolist() == [DIM, MOVED]
    assert array(out, "mask_indices").tolist() == list(range(N_ROWS))
    accepted = array(out, "accept_indices").tolist()
    assert accepted == [row for row in range(N_ROWS) if row not in (DIM, MOVED)]


def test_maps_are_of_each_row(seed_run: Path) -> None:
    out = seed_run / "qc_run"
    with h5py.File(seed_run / "data.cxi") as file:
        pixels: Any = np.asarray(file["/entry_1/data/data"], np.float64)
    total = pixels.sum(axis=(1, 2))
    assert array(out, "stxm") == pytest.approx(np.log(total), abs=1e-6)
    for axis, name in ((2, "dpcx"), (1, "dpcy")):
        profile = pixels.sum(axis=3 - axis)
        com = (profile * np.arange(SIDE)).sum(axis=1) / total
        assert array(out, name) == pytest.approx(com - np.median(com), abs=0.05)  # by pixels of four
    assert array(out, "dpcx")[MOVED] == pytest.approx(6, abs=0.5)
    picture = imread(out / "qc_maps.png")
    assert picture.shape[0] > 800 and picture.shape[1] > 800
    is_red = (picture[..., 0] > 0.9) & (picture[..., 1] < 0.1) & (picture[..., 2] < 0.1)
    assert is_red.sum() > 100, "rejected rows are marked in red"


def test_summary_has_a_line_for_each_row(seed_run: Path) -> None:
    with (seed_run / "qc_run" / "qc_summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["index"]) for line in lines] == list(range(N_ROWS))
    assert [[float(line["pos_x_m"]), float(line["pos_y_m"])] for line in lines] == pytest.approx(positions_m())
    assert {int(line["index"]) for line in lines if line["rejected"] == "1"} == {DIM, MOVED}
    assert all(line["in_mask"] == "1" for line in lines)
    assert re.fullmatch(r"intensity -6\d % against its neighbours", lines[DIM]["reason"])
    assert re.fullmatch(r"(centre of mass moved|pattern unlike its neighbours).*", lines[MOVED]["reason"])
    assert float(lines[DIM]["score"]) == pytest.approx(array(seed_run / "qc_run", "outlier_score")[DIM], abs=1e-6)


def test_meta_has_the_run_of_the_evaluation(seed_run: Path) -> None:
    meta = json.loads((seed_run / "qc_run" / "qc_meta.json").read_text())
    assert meta["options"]["rect"] == ["0", "0", "50", "50"]
    assert meta["options"]["roi"] == "1024" and meta["options"]["pca_k"] == 12 and meta["options"]["w_feat"] == 0.5
    assert meta["region"]["width_m"] == pytest.approx(50e-6) and "50 µm" in meta["region"]["said"]
    assert (meta["n_rows"], meta["n_rejected"], meta["n_accepted"]) == (N_ROWS, 2, N_ROWS - 2)
    assert meta["paths"]["data"] == "/entry_1/data/data"
    assert meta["program"].startswith("ptychostream ")


def test_gallery_is_static_and_shows_the_worst_first(seed_run: Path) -> None:
    folder = seed_run / "qc_run" / "thumbs"
    page = (folder / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="(row_\d+\.png)" width="256" height="256"', page)
    assert len(shown) == 48 and set(shown) == {path.name for path in folder.glob("*.png")}
    assert {int(name[4:11]) for name in shown[:2]} == {DIM, MOVED}
    assert imread(folder / shown[0]).shape[:2] == (256, 256)
    assert not re.search(r"https?:|<script|@import|url\(", page)
    assert re.search(rf"row {DIM}: rejected, score 0\.\d+<br>x -4.5 µm, y 0.5 µm<br>intensity -6\d %", page)


def test_the_json_is_what_ingest_takes(seed_run: Path, tmp_path: Path) -> None:
    json_file = seed_run / "qc_run" / "ptypy_indices.json"
    document = json.loads(json_file.read_text())
    assert document["reject_indices"] == [DIM, MOVED]
    assert document["accept_indices"] == array(seed_run / "qc_run", "accept_indices").tolist()
    assert (document["data_path"], document["n_rows"]) == ("/entry_1/data/data", N_ROWS)
    cxi = write_cxi(tmp_path / "scan.cxi")
    run("ingest", "hdf5", cxi, "--output", tmp_path / "scan_std.h5", "--reject-json", json_file, *INGEST)
    with h5py.File(tmp_path / "scan_std.h5") as file:
        assert np.flatnonzero(np.asarray(file[paths.KEEP]) == 0).tolist() == [DIM, MOVED]


@pytest.mark.further
def test_the_paths_of_the_seed_are_found_without_being_named(seed_run: Path, tmp_path: Path) -> None:
    run("evaluate", seed_run / "data.cxi", "--out", tmp_path / "out", "--bin", "4", "--thumbs-topk", "0")
    assert array(tmp_path / "out", "outlier_score") == pytest.approx(
        array(seed_run / "qc_run", "outlier_score"), abs=1e-12
    )
    assert not (tmp_path / "out" / "thumbs").exists()


def test_a_file_without_positions_is_judged_by_the_order_of_its_rows(seed_run: Path, tmp_path: Path) -> None:
    with h5py.File(seed_run / "data.cxi") as file, h5py.File(tmp_path / "bare.h5", "w") as bare:
        bare["frames"] = np.asarray(file["/entry_1/data/data"])
    words = ("evaluate", tmp_path / "bare.h5", "--data-path", "/frames", "--out", tmp_path / "out")
    said = run(*words, "--thumbs-topk", "0")
    assert "it has no positions" in said and "lists and table;" in said
    assert {DIM, MOVED} <= set(array(tmp_path / "out", "reject_indices").tolist())
    assert "has no positions" in run(*words, "--circ", "0", "0", "1", code=2)


def test_one_axis_alone_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "bare.h5", "w") as bare:
        bare["frames"], bare["x"] = np.ones((N_ROWS, SIDE, SIDE), np.uint16), positions_m()[:, 0]
    words = ("evaluate", tmp_path / "bare.h5", "--data-path", "/frames", "--pos-x-path", "/x")
    assert "are needed both" in run(*words, code=2)


def test_positions_of_an_areadetector_file_are_in_metres(seed_run: Path, tmp_path: Path) -> None:
    with h5py.File(seed_run / "data.cxi") as file, h5py.File(tmp_path / "raw.h5", "w") as raw:
        raw["/entry/data/data"] = np.asarray(file["/entry_1/data/data"])
        raw["/entry/data/data"].attrs["signal"] = 1
        for axis, name in enumerate(("posx", "posy")):
            column = raw.create_dataset(f"/entry/instrument/NDAttributes/{name}", data=1e6 * positions_m()[:, axis])
            column.attrs.update({"NDAttrName": name, "units": "um"})
    run("evaluate", tmp_path / "raw.h5", "--out", tmp_path / "out", "--rect", "0", "0", "50", "50")
    with (tmp_path / "out" / "qc_summary.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [float(row["pos_x_m"]) for row in rows] == pytest.approx(positions_m()[:, 0].tolist(), abs=1e-12)


def test_frames_that_cannot_be_read_are_rejected_and_named(seed_run: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.h5"
    with h5py.File(seed_run / "data.cxi") as file, h5py.File(damaged, "w") as copy:
        pixels = np.asarray(file["/entry_1/data/data"])
        stored = copy.create_dataset("/entry_1/data/data", data=pixels, chunks=(1, SIDE, SIDE), compression="gzip")
        place = stored.id.get_chunk_info(7)
        file.copy("/entry_1/instrument", copy["/entry_1"], "instrument")
    with damaged.open("r+b") as bytes_of_it:
        bytes_of_it.seek(place.byte_offset)
        bytes_of_it.write(b"\xff" * place.size)
    said = run("evaluate", damaged, "--out", tmp_path / "out")
    assert "the pixels of 1 row cannot be read" in said
    assert 7 in array(tmp_path / "out", "reject_indices")
    assert "its pixels cannot be read" in (tmp_path / "out" / "thumbs" / "index.html").read_text()


def test_apply_says_what_it_cannot_change_before_anything_long(seed_run: Path, tmp_path: Path) -> None:
    found = run("evaluate", seed_run / "data.cxi", "--out", tmp_path / "out", "--apply", code=1)
    assert "has no frames at /entry/data or /entry_1/instrument_1/detector_1/data" in found
    assert not (tmp_path / "out").exists()
