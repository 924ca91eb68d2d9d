"""The validator finds each defect, says so once in a plain sentence, and finds nothing in a good file."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.standard_file import StandardFile, validate_file
from stream_service.testing.example_file import (
    append_example_rows,
    example_header,
    example_ledger,
    write_example,
)

DATA_FOLDER = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
DETECTOR = "entry_1/instrument_1/detector_1"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A good file of twelve rows, to be copied."""
    path = tmp_path_factory.mktemp("example") / "a.h5"
    write_example(path, 12)
    return path


def replace(file, path, value):
    attributes = dict(file[path].attrs)
    del file[path]
    file[path] = value
    file[path].attrs.update(attributes)


def set_value(path, index, value):
    def spoil(file):
        file[path][index] = value

    return spoil


def remove(*paths):
    def spoil(file):
        for path in paths:
            del file[path]

    return spoil


def found(path, level="error"):
    return [f"{finding.where}: {finding.message}" for finding in validate_file(path) if finding.level == level]


@pytest.mark.parametrize("k", [1, 3])
def test_good_file_has_no_findings(tmp_path, k):
    write_example(tmp_path / "a.h5", 20, frames_per_row=k)
    assert validate_file(tmp_path / "a.h5") == []


def test_account_with_the_earlier_name_of_a_count_is_whole(tmp_path):
    write_example(tmp_path / "a.h5", 20)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["entry/ledger"].move("unexpected", "surplus")
    assert validate_file(tmp_path / "a.h5") == []


def mark_saturated(file):
    file[f"{DETECTOR}/detectorSpecific/pixel_mask"][:2] |= 2


def mark(value):
    def spoil(file):
        file["entry/data"][:, 1, 2:4] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            set_value("entry/mask", slice(0, -1), 1),
            r"/entry/mask: calls \S+ % of the pixels bad \(1 = bad, 0 = good\); is it inverted\?$",
        ),
        (
            mark_saturated,
            r"/entry/mask: calls \S+ % of the pixels saturated, in 19 of 20 rows; is the level 65535 right\?$",
        ),
        (
            mark(2.0**32),
            r"/entry/data: holds 4294967296 in 2 pixels of each of the first 5 rows, which are good by the mask; "
            r"gaps and dead pixels are masked by 'ptychostream ingest'",
        ),
        (mark(-1), r"/entry/data: holds -1 in 2 pixels of each of the first 5 rows"),
        (mark(65535), r"/entry/data: holds 65535 in 2 pixels of each of the first 5 rows"),
    ],
)
def test_mask_that_looks_wrong_is_worth_a_warning(tmp_path, spoil, words):
    write_example(tmp_path / "a.h5", 20)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        spoil(file)
    assert found(tmp_path / "a.h5") == []
    (said,) = found(tmp_path / "a.h5", "warning")
    assert re.match(words, said)


DEFECTS = {
    "pixel that is not a number": (
        set_value("entry/data", (3, 0, 0), np.nan),
        "/entry/data: has pixels that are not finite numbers in 1 row (3)",
    ),
    "row never written": (
        lambda file: [file[name].resize(13, axis=0) for name in ("entry/data",)],
        "/entry/data: has 13 rows, but 1 of them were never written",
    ),
    "column too short": (
        lambda file: file["entry/frames/flags"].resize(11, axis=0),
        "/entry/frames/flags: has shape (11,); for 12 frames it must be (12,)",
    ),
    "column missing": (remove("entry/keep"), "/entry/keep: is missing"),
    "split position differs": (set_value("entry/posx_m", 4, 1e-6 / 3), "/entry/posx_m: differs from column 0"),
    "position not a number": (
        lambda file: [set_value(f"entry/{n}", i, np.nan)(file) for n, i in (("pos", (2, 0)), ("posx_m", 2))],
        "/entry/pos: is not a finite number in 1 row (2), and nothing flags them",
    ),
    "position in um": (
        lambda file: [set_value(f"entry/{n}", i, 7.0)(file) for n, i in (("pos", (2, 0)), ("posx_m", 2))],
        "/entry/pos: reaches 7 m; positions are in metres: is it in um?",
    ),
    "translation with the sign of pos": (
        lambda file: file["entry_1/sample_1/geometry_1/translation"].write_direct(
            -file["entry_1/sample_1/geometry_1/translation"][()]
        ),
        "translation: must be minus /entry/pos (motion of the sample), but it has the sign of /entry/pos",
    ),
    "translation off in a row": (
        set_value("entry_1/sample_1/geometry_1/translation", (5, 1), 3.0),
        "translation: must be minus /entry/pos (motion of the sample), but it differs in 1 row (5)",
    ),
    "mask with bit flags": (set_value("entry/mask", (0, 0), 4), "/entry/mask: holds values up to 4; only 0"),
    "mask all bad": (set_value("entry/mask", ..., 1), "/entry/mask: calls every pixel bad"),
    "dark of another shape": (
        lambda file: replace(file, "entry/dark", np.zeros((3, 3), np.float32)),
        "/entry/dark: has shape (3, 3), the frames (6, 8)",
    ),
    "energy in keV": (set_value("entry/energy_eV", (), 0.71), "/entry/energy_eV: is 0.71 eV, outside 10 to 200000 eV"),
    "energy unknown": (set_value("entry/energy_eV", (), np.nan), "/entry/energy_eV: is nan; write the true value"),
    "energy per row": (
        lambda file: replace(file, "entry/energy_eV", np.full(12, 710.0)),
        "/entry/energy_eV: has shape (12,) and type float64; PtyPy wants one number",
    ),
    "energy in eV at the CXI path": (
        set_value("entry_1/instrument_1/source_1/energy", (), 710.0),
        "source_1/energy: is 710 J, which no photon has; it looks like eV",
    ),
    "energies disagree": (
        set_value("entry_1/instrument_1/beam_1/incident_beam_energy", (), 800.0),
        "incident_beam_energy: is 800 eV, /entry/energy_eV says 710 eV",
    ),
    "distance missing": (remove("entry/det_dist_m"), "/entry/det_dist_m: is missing; PtyPy needs it"),
    "distance in mm": (set_value("entry/det_dist_m", (), 120.0), "/entry/det_dist_m: is 120 m, outside"),
    "text of variable length": (
        lambda file: replace(file, "entry/process/versions", "{}"),
        "/entry/process/versions: is text of variable length",
    ),
    "settings are no JSON": (
        lambda file: replace(file, "entry/process/settings", np.bytes_("grouping: sum")),
        "/entry/process/settings: is not JSON",
    ),
    "hole in the keys": (set_value("entry/live/key_x", 5, 0), "/entry/live/key_x: has a hole among its 11 keys"),
    "keys ahead of the rows": (
        lambda file: replace(file, "entry/live/key_y", np.arange(1, 20, dtype=np.uint32)),
        "/entry/live/key_y: announces 19 rows, but there are 12",
    ),
    "keys behind the rows at the end": (
        set_value("entry/live/key_data", slice(10, 12), 0),
        "/entry/live/key_data: announces 10 of 12 rows",
    ),
    "frame in two rows": (
        set_value("entry/frames/unique_id", (7, 0), 3),
        "/entry/frames/unique_id: has frame 3 of epoch 0 in more than one slot",
    ),
    "row without a frame": (
        set_value("entry/frames/epoch", (7, 0), -1),
        "/entry/frames/epoch: names no frame in 1 row",
    ),
    "frame in a row and lost": (
        set_value("entry/frames/status", (7, 0), 3),
        "/entry/frames/status: calls frames of row 7 neither stored nor backfilled",
    ),
    "keep is neither 0 nor 1": (set_value("entry/keep", 2, 7), "/entry/keep: holds 7"),
    "row replaces one that is not there": (
        set_value("entry/frames/replaces", 2, 99),
        "/entry/frames/replaces: names a row that does not exist (rows are 0 to 11)",
    ),
    "row replaces itself": (
        set_value("entry/frames/replaces", 2, 2),
        "/entry/frames/replaces: names what is not another row",
    ),
    "row replaces no number": (
        lambda file: replace(file, "entry/frames/replaces", np.full(12, np.nan)),
        "/entry/frames/replaces: names what is not another row",
    ),
    "ledger does not add up": (
        set_value("entry/ledger/lost", (), 2),
        "/entry/ledger: accounts for 14 frames, but 12 were expected",
    ),
    "ledger column and count disagree": (
        set_value("entry/ledger/status", 4, 3),
        "/entry/ledger/stored: says 12, but the column 'status' has 11 of them",
    ),
    "ledger calls a frame stored that no row has": (
        set_value("entry/frames/unique_id", (7, 0), 99),
        "/entry/ledger: calls 1 frame stored that is in no row, the first is (0, 8)",
    ),
    "complete with frames missing": (
        lambda file: [set_value(f"entry/ledger/{n}", (), v)(file) for n, v in (("stored", 11), ("lost", 1))],
        "/entry/run/state: is COMPLETE, but 1 of 12 frames is not in the file",
    ),
    "end before the start": (set_value("entry/run/end_timestamp_ns", (), 5), "/entry/run/end_timestamp_ns: is before"),
    "readback columns of different length": (
        lambda file: file["entry/readbacks/x/value"].resize(3, axis=0),
        "/entry/readbacks/x: must hold 'value' and 'timestamp_ns' of equal length",
    ),
    "no CXI version": (remove("cxi_version"), "/cxi_version: is missing; write the integer 160"),
    "CXI version not an integer": (lambda file: replace(file, "cxi_version", 1.6), "/cxi_version: must be one integer"),
    "no data group": (remove("entry_1/data_1"), "/entry_1: has no 'data_1'"),
    "data group with a dangling link": (
        lambda file: [
            remove("entry_1/data_1/data")(file),
            file["entry_1/data_1"].__setitem__("data", h5py.SoftLink("/no")),
        ],
        "/entry_1/data_1/data: links to /no, which does not exist",
    ),
    "numbering with a gap": (
        lambda file: file["entry_1"].move("data_1", "data_2"),
        "/entry_1: holds data_2; CXI counts from data_1 without a gap",
    ),
    "axes without their dataset": (
        remove(f"{DETECTOR}/translation"),
        f"/{DETECTOR}/data: has 'axes' = 'translation:y:x', but no dataset 'translation' beside it",
    ),
    "axes for another number of dimensions": (
        lambda file: file[f"{DETECTOR}/data"].attrs.modify("axes", "translation:x"),
        "2 names for 3 dimensions",
    ),
    "axes that is not text": (
        lambda file: file[f"{DETECTOR}/data"].attrs.__setitem__("axes", 3),
        "it must be one text",
    ),
    "basis vectors transposed": (
        lambda file: replace(file, f"{DETECTOR}/basis_vectors", np.zeros((3, 2))),
        f"/{DETECTOR}/basis_vectors: has shape (3, 2); one row of (x, y, z) for each of two axes: it is transposed",
    ),
    "corner of two numbers": (
        lambda file: replace(file, f"{DETECTOR}/corner_position", np.zeros(2)),
        f"/{DETECTOR}/corner_position: has shape (2,); its last axis must be 3",
    ),
    "date that is not ISO 8601": (
        lambda file: replace(file, "entry_1/start_time", np.bytes_("21.11.2026 12:00")),
        "/entry_1/start_time: is '21.11.2026 12:00'",
    ),
    "image without its type": (
        lambda file: file.create_dataset("entry_1/image_1/data", data=np.zeros((4, 4))),
        "/entry_1/image_1/data_type: is missing",
    ),
    "scores for other images": (
        lambda file: file.create_dataset(f"{DETECTOR}/score", data=np.zeros(5)),
        f"/{DETECTOR}/score: has shape (5,); its last axis must be the 12 images",
    ),
    "class that is no group": (
        lambda file: file.create_dataset("entry_1/image_1", data=1),
        "/entry_1/image_1: is not an h5 group",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_found(tmp_path, example, name):
    spoil, complaint = DEFECTS[name]
    path = shutil.copyfile(example, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        spoil(file)
    errors = found(path)
    assert any(complaint in message for message in errors), errors
    assert all(message.endswith((".", "?")) and "\n" not in message for message in errors), "one plain sentence each"


WARNING = {
    "no rows": (None, "/entry/data: has no rows"),
    "stage that did not move": (
        lambda file: [file[path].__setitem__(..., 0.0) for path in ("entry/pos", "entry/posx_m", "entry/posy_m")],
        "/entry/pos: is the same in every row",
    ),
    "flagged position": (
        lambda file: (
            [
                set_value(path, index, value)(file)
                for path, index, value in (
                    ("entry/pos", 2, np.nan),
                    ("entry/posx_m", 2, np.nan),
                    ("entry/posy_m", 2, np.nan),
                )
            ]
            + [set_value("entry/frames/flags", 2, 8)(file)]
        ),
        "/entry/pos: is not known in 1 row (2), as /entry/frames/flags says",
    ),
    "row is used beside the one that replaces it": (
        set_value("entry/frames/replaces", 5, 2),
        "/entry/keep: uses 1 row beside the one that replaces it (the first is row 2, by row 5)",
    ),
    "exposure unknown": (set_value("entry/exposure_s", (), np.nan), "/entry/exposure_s: is nan; write the true value"),
    "no mask": (remove("entry/mask"), "/entry/mask: is missing; without it PtyPy"),
    "no corner": (remove(f"{DETECTOR}/corner_position"), "corner_position: is missing; CXI asks for it always"),
    "energy in eV that says so": (
        lambda file: file["entry_1/instrument_1/source_1/energy"].attrs.modify("units", "eV"),
        "source_1/energy: is in 'eV'; CXI energies are in joules",
    ),
    "basis against the positions": (
        set_value(f"{DETECTOR}/basis_vectors", (0, 1), -11e-6),
        "basis_vectors: points against +y or +x; PtyPy does not look",
    ),
    "run that is not over": (
        set_value("entry/run/state", (), b"RECEIVING"),
        "/entry/run/state: is RECEIVING: the run has not ended",
    ),
    "run that was aborted": (
        set_value("entry/run/state", (), b"ABORTED"),
        "/entry/run/state: is ABORTED: all expected frames were received: 12 rows.",
    ),
    "number of entries": (set_value("number_of_entries", (), 2), "/number_of_entries: says 2, but there are 1"),
}


@pytest.mark.parametrize("name", WARNING)
def test_what_is_allowed_but_surprising_is_a_warning(tmp_path, example, name):
    spoil, complaint = WARNING[name]
    path = tmp_path / "a.h5"
    if spoil is None:
        write_example(path, 0)
    else:
        shutil.copyfile(example, path)
        with h5py.File(path, "r+") as file:
            spoil(file)
    notes = found(path, "warning")
    assert any(complaint in message for message in notes), notes


def test_file_that_is_not_there(tmp_path):
    assert found(tmp_path / "a.h5") == [f"{tmp_path / 'a.h5'}: there is no such file; check the path."]


def test_file_that_is_not_hdf5(tmp_path):
    (tmp_path / "a.h5").write_text("hello")
    assert "is not an HDF5 file" in found(tmp_path / "a.h5")[0]


def test_file_cut_short_is_reported_and_does_not_raise(tmp_path):
    path = tmp_path / "a.h5"
    write_example(path, 12)
    os.truncate(path, path.stat().st_size // 2)
    assert "cannot be read" in found(path)[0]


def test_file_of_the_minimal_schema_is_judged_by_it_alone(tmp_path):
    """Others write the `/entry` schema without identities; that is no error of theirs."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["data"] = np.ones((4, 6, 8), np.float32)
        entry["pos"] = np.arange(8.0).reshape(4, 2) * 1e-6
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"] = 710.0, 0.1, 1e-5
    assert {finding.where for finding in validate_file(path)} == {
        "/cxi_version",
        "/",
        "/entry/mask",
        "/entry/posx_m",
        "/entry/posy_m",
    }


def test_raw_detector_file_is_recognized(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.ones((4, 6, 8), np.uint16)
    assert any("this is a raw detector file" in message for message in found(path))


def test_foreign_cxi_is_judged_as_cxi_only():
    path = DATA_FOLDER / "petra3_p25_nearfield.cxi"
    if not path.exists():
        pytest.skip(f"the recorded scan {path.name} is not here; PTYCHOSTREAM_TEST_DATA names its folder")
    findings = validate_file(path)
    assert all(finding.where.startswith("/entry_1/") for finding in findings)
    assert [finding.where for finding in findings if finding.level == "error"] == [f"/{DETECTOR}/basis_vectors"]


def test_run_that_failed_is_no_error_by_itself(tmp_path):
    path = tmp_path / "a.h5"
    with StandardFile.create(path, example_header(10)) as file:
        append_example_rows(file, 0, 5)
        file.set_state("FAILED", "the service could not go on")
    assert found(path) == []
    assert any("is FAILED: the service could not go on" in message for message in found(path, "warning"))


def test_incomplete_run_with_its_account_is_no_error(tmp_path):
    path = tmp_path / "a.h5"
    ledger = example_ledger(6)
    ledger.status[5] = 3
    counts = {**ledger.counts, "stored": 5, "lost": 1}
    with StandardFile.create(path, example_header(6)) as file:
        append_example_rows(file, 0, 5)
        file.write_ledger(type(ledger)(ledger.epoch, ledger.unique_id, ledger.status, ledger.n_received, counts))
        file.set_state("INCOMPLETE", "frames were lost", 2_000_000_000_000_000_000)
    assert found(path) == []
