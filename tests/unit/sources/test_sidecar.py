"""The sidecar says of every row which frame it belongs to; made by the command, or by hand with any part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer
from tiff_scan import write_log, write_tiff, write_tiff_scan
from typer.testing import CliRunner, Result

from stream_service.cli.files.sidecar import sidecar
from stream_service.core.stage_map import parse_stage_map
from stream_service.errors import ConfigError, SourceError, WriteError
from stream_service.run.recorded.make_sidecar import make_sidecar
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.sidecar import Sidecar, read_sidecar
from stream_service.standard_file.write.sidecar_file import DATASETS, SidecarContents, write_sidecar

SHAPE = (6, 8)
FRAMES = np.random.default_rng(1).integers(0, 999, (5, *SHAPE)).astype(np.uint16)
X_UM, Y_UM = np.array([0.1, 1.1, 2.3, 3.7, 4.2]), np.array([-1.0, 0.3, 0.0, 2.0, 5.5])
app = typer.Typer()
app.command()(sidecar)


def run(folder: Path, *arguments: Any) -> Result:
    """The command with its usual options; an error that is meant for people is raised."""
    options = ["--frames", folder / "scan001_*.tif", "--csv", folder / "epics_log.csv", "--output", folder / "s.h5"]
    result = CliRunner().invoke(app, [str(word) for word in [*options, *arguments]])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    write_tiff_scan(
        tmp_path, FRAMES, x=X_UM, y=Y_UM, unit="um", energy_eV=[700, 701, 702, 703, 704], det_dist_m=0.1, pixel_m=1e-5,
        exposure_s=0.01,
    )  # fmt: skip
    return tmp_path


def handmade(path: Path, datasets: dict[str, Any], units: dict[str, str] | None = None) -> Sidecar:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
        for name, unit in (units or {}).items():
            file[name].attrs["units"] = unit
    return read_sidecar(path, SHAPE)


# the command


def test_row_of_the_log_stands_with_its_file_in_si_units(scan):
    result = run(scan)
    assert result.exit_code == 0 and "5 of 5 rows with 5 of 5 frames, matched by number" in result.output
    assert "posx_m from posx_um in um" in result.output and "the beam on the sample" in result.output
    assert "warning" not in result.output
    with h5py.File(scan / "s.h5") as file:
        entry = file["entry"]
        assert entry["file"].asstr()[()].tolist() == [f"scan001_{n:04d}.tif" for n in range(1, 6)]
        assert entry["page"][()].tolist() == [0] * 5 and entry["frame_index"][()].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_array_equal(entry["posx_m"], X_UM * 1e-6)
        np.testing.assert_array_equal(entry["posy_m"], Y_UM * 1e-6)
        assert entry["energy_eV"][()].tolist() == [700, 701, 702, 703, 704]
        assert [entry[name][()] for name in ("det_dist_m", "pixel_m", "exposure_s")] == [0.1, 1e-5, 0.01]
        assert all(entry[name].attrs["description"] == DATASETS[name][1] for name in entry)
        assert {name: entry[name].attrs["units"] for name in entry if "units" in entry[name].attrs} == {
            "posx_m": "m", "posy_m": "m", "energy_eV": "eV", "det_dist_m": "m", "pixel_m": "m", "exposure_s": "s",
        }  # fmt: skip
        assert entry["file"].attrs["matched_by"] == "number" and entry.attrs["csv"] == "epics_log.csv"


def test_what_has_no_counterpart_is_a_warning_with_its_name_and_the_exit_code_is_0(scan):
    (scan / "scan001_0003.tif").unlink()
    write_tiff(scan / "scan001_0006.tif", FRAMES[0])
    result = run(scan)
    assert result.exit_code == 0
    for words in (
        "scan001_0003.tif is missing",
        "1 of 5 rows has no frame: frame_index 3",
        "1 of 5 frames has no row: scan001_0006.tif",
        "4 of 5 rows with 4 of 5 frames",
    ):
        assert words in result.output
    read = read_sidecar(scan / "s.h5", SHAPE)
    assert read.files is not None
    assert [name for name, _ in read.files] == [
        "scan001_0001.tif",
        "scan001_0002.tif",
        "",
        "scan001_0004.tif",
        "scan001_0005.tif",
    ]
    assert [page for _, page in read.files] == [0, 0, -1, 0, 0]


def test_bad_cells_and_missing_columns_are_warnings_that_say_what_to_do(scan):
    text = (scan / "epics_log.csv").read_text().splitlines()
    text[3] = text[3].replace("2.3", "n/a")
    (scan / "epics_log.csv").write_text("\n".join(",".join(line.split(",")[:3]) for line in text))
    result = run(scan)
    assert result.exit_code == 0 and "line 4: posx_um is 'n/a', a number is needed" in result.output
    assert "has no energy_eV: give --energy-eV to ingest" in result.output
    np.testing.assert_array_equal(np.isnan(read_sidecar(scan / "s.h5", SHAPE).columns["x"]), [0, 0, 1, 0, 0])


def test_stage_map_makes_the_beam_on_the_sample_of_stage_positions(scan):
    result = run(scan, "--stage-map", "-1,0,0,-1")
    assert "mapped by -1,0,0,-1 to the beam on the sample" in result.output
    columns = read_sidecar(scan / "s.h5", SHAPE).columns
    np.testing.assert_array_equal(columns["x"], -(X_UM * 1e-6))
    np.testing.assert_array_equal(columns["y"], -(Y_UM * 1e-6))
    run(scan, "--stage-map=0,1,-1,0", "--force")
    columns = read_sidecar(scan / "s.h5", SHAPE).columns
    np.testing.assert_array_equal(columns["x"], Y_UM * 1e-6)
    np.testing.assert_array_equal(columns["y"], -(X_UM * 1e-6))


@pytest.mark.parametrize("text", ["-1,0,0", "a,b,c,d", "1,1,1,1", "0,0,0,0", "nan,0,0,1", "inf,0,0,1", ""])
def test_stage_map_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="--stage-map"):
        parse_stage_map(text)


def test_aliases_and_units_are_options(scan):
    write_log(scan / "epics_log.csv", {"N": range(1, 6), "MOTOR:X.RBV": X_UM, "MOTOR:Y.RBV": Y_UM})
    run(
        scan, "--column", "posx=MOTOR:X.RBV", "--column", "posy=MOTOR:Y.RBV", "--column", "frame_index=N", "--unit",
        "posx=um", "--unit", "posy=nm",
    )  # fmt: skip
    columns = read_sidecar(scan / "s.h5", SHAPE).columns
    np.testing.assert_array_equal(columns["x"], X_UM * 1e-6)
    np.testing.assert_array_equal(columns["y"], Y_UM * 1e-9)


@pytest.mark.parametrize("words", [("--column", "posx"), ("--unit", "posx="), ("--unit", "=um")])
def test_option_that_is_no_pair_is_refused(scan, words):
    with pytest.raises(ConfigError, match="QUANTITY=VALUE"):
        run(scan, *words)
    with pytest.raises(ConfigError, match="gives posx twice: a and b"):
        run(scan, "--column", "posx=a", "--column", "posx=b")


def test_references_go_in_as_they_are_and_must_fit(scan):
    references = {"dark": np.full(SHAPE, 1.5), "flat": np.full(SHAPE, 2.0), "mask": np.eye(*SHAPE, dtype=np.uint8)}
    for kind, image in references.items():
        np.save(scan / f"{kind}.npy", image)
    run(scan, *(word for kind in references for word in (f"--{kind}", scan / f"{kind}.npy")))
    read = read_sidecar(scan / "s.h5", SHAPE).references
    assert set(read) == set(references)
    for kind, image in references.items():
        np.testing.assert_array_equal(read[kind], image)
    np.save(scan / "dark.npy", np.zeros((3, 3)))
    with pytest.raises(ConfigError, match=r"the dark is \(3, 3\), the frames are \(6, 8\)"):
        run(scan, "--dark", scan / "dark.npy", "--force")


def test_existing_output_is_refused_unless_forced_and_no_half_file_is_left(scan):
    run(scan)
    before = (scan / "s.h5").read_bytes()
    with pytest.raises(ConfigError, match="--force"):
        run(scan)
    (scan / "scan001_0002.tif").write_bytes(b"II")
    with pytest.raises(SourceError, match=r"scan001_0002\.tif"):
        run(scan, "--force")
    assert (scan / "s.h5").read_bytes() == before
    (scan / "scan001_0002.tif").unlink()
    run(scan, "--force")
    assert (scan / "s.h5").read_bytes() != before
    assert not list(scan.glob(".*"))
    with pytest.raises(ConfigError, match="does not exist"):
        run(scan, "--output", scan / "nowhere" / "s.h5")


def test_rows_that_cannot_be_matched_are_refused_until_the_operator_says_how(scan):
    write_log(scan / "epics_log.csv", {"frame_index": [3, 4, 5, 6, 7], "posx_m": X_UM, "posy_m": Y_UM})
    with pytest.raises(SourceError, match=r"--match number .* --match order"):
        run(scan)
    run(scan, "--match", "order")
    assert read_sidecar(scan / "s.h5", SHAPE).matched_by is Match.ORDER
    run(scan, "--match", "number", "--force")
    read = read_sidecar(scan / "s.h5", SHAPE)
    assert read.files is not None and [name for name, _ in read.files][:3] == [f"scan001_000{n}.tif" for n in (3, 4, 5)]


def test_frames_of_areadetector_are_matched_by_unique_id(tmp_path):
    write_tiff_scan(tmp_path, FRAMES, x=X_UM, y=Y_UM, unique_ids=[11, 12, 13, 15, 16], missing=(2,))
    lines = (tmp_path / "epics_log.csv").read_text().splitlines()
    (tmp_path / "epics_log.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    result = run(tmp_path)
    assert "matched by unique_id" in result.output and "1 of 5 rows has no frame: unique_id 12" in result.output
    read = read_sidecar(tmp_path / "s.h5", SHAPE)
    assert read.files is not None
    assert [name for name, _ in read.files] == [
        "scan001_0005.tif",
        "scan001_0004.tif",
        "scan001_0003.tif",
        "",
        "scan001_0001.tif",
    ]


def test_images_of_a_stack_are_named_by_page(tmp_path):
    write_tiff(tmp_path / "scan001_7.tif", FRAMES)
    write_log(tmp_path / "epics_log.csv", {"frame_index": range(1, 6), "posx_m": X_UM, "posy_m": Y_UM})
    run(tmp_path)
    assert read_sidecar(tmp_path / "s.h5", SHAPE).files == tuple(("scan001_7.tif", page) for page in range(5))


def test_help_shows_the_example_of_the_kit():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "400"}).output
    for words in ("--frames", "--csv", "--stage-map", "--match", "frame_index,posx_m,posy_m"):
        assert words in text


def test_disk_that_fails_is_a_write_error_and_leaves_nothing(tmp_path):
    contents = SidecarContents({"posx_m": X_UM, "posy_m": Y_UM}, [""] * 5, np.zeros(5, np.int64), "order")
    with pytest.raises(WriteError, match="folder does not exist"):
        write_sidecar(tmp_path / "none" / "s.h5", contents)
    (tmp_path / "s.h5").mkdir()
    with pytest.raises(WriteError):
        write_sidecar(tmp_path / "s.h5", contents)
    assert not list(tmp_path.glob(".*"))


def test_column_that_varies_or_is_unknown_in_a_row_stays_a_column(tmp_path):
    columns = {"posx_m": X_UM, "posy_m": Y_UM, "energy_eV": np.array([700.0, np.nan, 700, 700, 700])}
    write_sidecar(tmp_path / "s.h5", SidecarContents(columns, [""] * 5, np.zeros(5, np.int64), "order"))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["entry/energy_eV"].shape == (5,)


def test_function_can_be_called_without_the_command(scan):
    summary = make_sidecar(str(scan / "scan001_*.tif"), scan / "epics_log.csv", scan / "s.h5")
    assert (summary.n_rows, summary.n_frames, summary.n_pairs, summary.warnings) == (5, 5, 5, ())


# made by hand


@pytest.mark.parametrize("below", ["/entry/", "/"])
def test_sidecar_made_by_hand_may_be_at_the_root_and_have_any_part(tmp_path, below):
    read = handmade(tmp_path / "s.h5", {f"{below}pos": np.column_stack([X_UM, Y_UM])}, {f"{below}pos": "um"})
    np.testing.assert_array_equal(read.columns["x"], X_UM * 1e-6)
    np.testing.assert_array_equal(read.columns["y"], Y_UM * 1e-6)
    assert read.n_rows == 5 and read.files is None and read.rows.frame_index is None and read.matched_by is None
    read = handmade(tmp_path / "e.h5", {f"{below}energy_eV": 0.71}, {f"{below}energy_eV": "keV"})
    assert read.n_rows == 0 and read.columns["energy"] == 0.71 * 1e3


def test_single_numbers_and_columns_are_both_taken(tmp_path):
    positions = {"posx_m": X_UM, "posy_m": Y_UM}
    read = handmade(tmp_path / "s.h5", {**positions, "energy_eV": [700.0] * 5, "pixel_m": [1e-5], "det_dist_m": 0.1})
    assert {name: values.shape for name, values in read.columns.items()} == {
        "x": (5,), "y": (5,), "energy": (5,), "pixel": (), "det_dist": (),
    }  # fmt: skip


@pytest.mark.parametrize("strings", ["fixed", "variable"])
def test_names_of_files_may_be_stored_either_way(tmp_path, strings):
    names = [f"µ_{n}.tif" for n in range(5)]
    kind = h5py.string_dtype("utf-8", 16 if strings == "fixed" else None)
    encoded = np.array([name.encode() for name in names], dtype=kind)
    read = handmade(tmp_path / "s.h5", {"posx_m": X_UM, "posy_m": Y_UM, "file": encoded})
    assert read.files == tuple((name, 0) for name in names)


def test_references_that_are_applied_already_are_left_out(tmp_path):
    path = tmp_path / "s.h5"
    handmade(path, {"dark": np.ones(SHAPE), "mask": np.ones(SHAPE, bool)})
    with h5py.File(path, "r+") as file:
        file["dark"].attrs["applied"] = True
    assert set(read_sidecar(path, SHAPE).references) == {"mask"}


@pytest.mark.parametrize(
    ("datasets", "units", "words"),
    [
        ({}, {}, "holds nothing of a sidecar"),
        ({"posx_m": X_UM}, {}, "posx_m is there, but not the position on the other axis"),
        ({"posx_m": X_UM, "posy_m": Y_UM[:4]}, {}, r"posy_m has 4 rows, /posx_m has 5"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "energy_eV": [1.0, 2.0]}, {}, "energy_eV has 2 rows"),
        ({"pos": X_UM}, {}, r"pos is \(5,\) .*; positions are \(N, 2\)"),
        ({"pos": np.zeros((5, 3))}, {}, r"positions are \(N, 2\)"),
        ({"pos": np.zeros((0, 2))}, {}, "is empty"),
        ({"posx_m": X_UM, "posy_m": Y_UM}, {"posx_m": "inch"}, "unit 'inch'"),
        ({"posx_m": X_UM, "posy_m": np.array([b"a"] * 5)}, {}, "one number for each frame"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "frame_index": X_UM}, {}, "not a whole number"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "unique_id": [-1] * 5}, {}, "not a whole number"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "timestamp_ns": 7}, {}, "whole numbers are needed"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "file": X_UM}, {}, "names of files are needed"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "file": np.array([b"\xff"] * 5)}, {}, "cannot be read"),
        ({"posx_m": X_UM, "posy_m": Y_UM, "file": np.array([b"a"] * 5), "page": [0]}, {}, "page is"),
        ({"dark": np.zeros((3, 3))}, {}, r"dark has shape \(3, 3\)"),
    ],
)
def test_part_that_cannot_be_is_refused_by_name(tmp_path, datasets, units, words):
    with pytest.raises(SourceError, match=words) as caught:
        handmade(tmp_path / "s.h5", datasets, units)
    assert "s.h5" in str(caught.value)


def test_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "s.h5").write_text("no")
    for path in (tmp_path / "s.h5", tmp_path / "none.h5", tmp_path):
        with pytest.raises(SourceError, match=r"no HDF5 file|no such file|is a folder"):
            read_sidecar(path, SHAPE)


def test_the_name_of_a_file_that_is_no_utf8_is_refused_in_a_sentence(tmp_path):
    name = b"scan\xff_0001.tif".decode("utf-8", "surrogateescape")
    contents = SidecarContents({"posx_m": X_UM, "posy_m": Y_UM}, [name] * 5, np.zeros(5, np.int64), "order")
    with pytest.raises(SourceError, match=r"scan\\udcff_0001.tif is no UTF-8: rename it"):
        write_sidecar(tmp_path / "s.h5", contents)
    assert list(tmp_path.iterdir()) == []
