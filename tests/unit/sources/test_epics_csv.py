"""The log of a scan becomes columns in SI units, or one sentence names the line, the column and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_service.errors import ConfigError, SourceError
from stream_service.sources.tables.epics_csv import LONGEST_LINE, MOST_PROBLEMS, EpicsTable, read_epics_csv

SEED = "frame_index,posx_m,posy_m,energy_eV,det_dist_m,pixel_m,exposure_s\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def read(path: Path, text: str | bytes, **options: dict[str, str]) -> EpicsTable:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_epics_csv(path, **options)


def test_columns_of_the_seed_are_read_as_they_are(log):
    table = read(log, SEED + "0,1.5e-6,-2e-6,710,0.12,1.1e-5,0.01\n1,2.5e-6,-3e-6,711,0.12,1.1e-5,0.02\n")
    assert table.n_rows == 2 and table.problems == ()
    assert table.identities["frame_index"].tolist() == [0, 1]
    assert {name: values.tolist() for name, values in table.columns.items()} == {
        "posx_m": [1.5e-6, 2.5e-6],
        "posy_m": [-2e-6, -3e-6],
        "energy_eV": [710, 711],
        "det_dist_m": [0.12, 0.12],
        "pixel_m": [1.1e-5, 1.1e-5],
        "exposure_s": [0.01, 0.02],
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_marks_comments_and_quotes_are_understood(log, delimiter, mark, newline):
    lines = [
        "# EPICS log of scan 001",
        "",
        f'"posx_m"{delimiter} posy_m {delimiter}"note, with; all\tof them ""quoted"""',
        f'1e-6{delimiter}"2e-6"{delimiter}"a,b;c\td"',
        f"  # paused{delimiter}",
        delimiter * 2,
        f" 3e-6 {delimiter} 4e-6 {delimiter}",
    ]
    table = read(log, mark + newline.join(lines))
    assert table.columns["posx_m"].tolist() == [1e-6, 3e-6] and table.columns["posy_m"].tolist() == [2e-6, 4e-6]


@pytest.mark.parametrize(
    ("header", "cell", "name", "value"),
    [
        ("posx_um", "12.5", "posx_m", 12.5 * 1e-6),
        ("posx_µm", "12.5", "posx_m", 12.5 * 1e-6),
        ("posx_μm", "12.5", "posx_m", 12.5 * 1e-6),
        ("POSX_MM", "12.5", "posx_m", 12.5 * 1e-3),
        ("posx_nm", "12.5", "posx_m", 12.5 * 1e-9),
        ("energy_keV", "0.71", "energy_eV", 0.71 * 1e3),
        ("det_dist_mm", "120", "det_dist_m", 120 * 1e-3),
        ("pixel_um", "11", "pixel_m", 11 * 1e-6),
        ("exposure_ms", "10", "exposure_s", 10 * 1e-3),
    ],
)
def test_unit_in_the_name_of_a_column_is_honoured(log, header, cell, name, value):
    others = [other for other in ("posx_m", "posy_m") if other != name]
    table = read(log, ",".join([header, *others]) + "\n" + ",".join([cell, *"11"[: len(others)]]) + "\n")
    assert table.columns[name].tolist() == [value]


def test_alias_and_unit_by_option(log):
    table = read(
        log,
        "MOTOR:X.RBV,MOTOR:Y_um,E\n1,2,0.7\n",
        aliases={"posx": "MOTOR:X.RBV", "posy_m": "MOTOR:Y_um", "energy": "E"},
        units={"posx": "mm", "energy_eV": "kev"},
    )
    assert table.columns["posx_m"].tolist() == [1e-3]
    assert table.columns["posy_m"].tolist() == [2 * 1e-6]
    assert table.columns["energy_eV"].tolist() == [0.7 * 1e3]
    assert table.sources == ("posx_m from MOTOR:X.RBV in mm", "posy_m from MOTOR:Y_um in um", "energy_eV from E in keV")


def test_unit_by_option_comes_before_the_one_in_the_name(log):
    assert read(log, "posx_m,posy_m\n5,6\n", units={"posx": "um"}).columns["posx_m"].tolist() == [5 * 1e-6]


@pytest.mark.parametrize("name", ["unique_id", "uniqueId", "NDArrayUniqueId"])
def test_unique_id_is_known_by_its_names(log, name):
    assert read(log, f"posx_m,posy_m,{name}\n0,0,17\n0,0,18.0\n").identities["unique_id"].tolist() == [17, 18]


def test_stamps_are_exact_to_the_nanosecond(log):
    table = read(log, "posx_m,posy_m,timestamp_s\n0,0,1795218868.123456789\n0,0,1.795218868e9\n")
    assert table.identities["timestamp"].tolist() == [1_795_218_868_123_456_789, 1_795_218_868_000_000_000]
    table = read(log, "posx_m,posy_m,timestamp_ns\n0,0,1795218868123456789\n")
    assert table.identities["timestamp"].tolist() == [1_795_218_868_123_456_789]


@pytest.mark.parametrize("cell", ["n/a", "", "nan", "inf", "-Infinity", "1e999", "1,5,0", "1_000", "9" * 50, "0x10"])
def test_bad_cell_is_named_by_line_and_column_and_its_value_is_unknown(log, cell):
    table = read(log, f'frame_index;posx_m;posy_m\n# comment\n1;1e-6;0\n2;"{cell}";3e-6\n')
    assert table.problems == (f"{log}, line 4: posx_m is {cell[:40]!r}, a number is needed",)
    np.testing.assert_array_equal(table.columns["posx_m"], [1e-6, np.nan])
    assert table.columns["posy_m"].tolist() == [0, 3e-6] and table.identities["frame_index"].tolist() == [1, 2]


def test_row_that_was_cut_off_is_a_bad_row(log):
    table = read(log, SEED + "0,1e-6,2e-6,710,0.1,1e-5,0.1\n1,1e-6")
    assert [problem.split(": ")[1] for problem in table.problems] == [
        f"{name} is '', a number is needed" for name in ("posy_m", "energy_eV", "det_dist_m", "pixel_m", "exposure_s")
    ]


def test_bad_cells_beyond_the_first_ones_are_counted(log):
    table = read(log, "posx_m,posy_m\n0,0\n" + "x,0\n" * (MOST_PROBLEMS + 30))
    assert len(table.problems) == MOST_PROBLEMS + 1 and table.problems[-1] == f"{log}: and 30 more such values"


@pytest.mark.parametrize("column", ["frame_index", "unique_id", "timestamp_ns"])
@pytest.mark.parametrize("cell", ["", "x", "1.5", "-1", "1e30", "nan", "Infinity", "1e999999999", "1_0"])
def test_identity_that_is_not_whole_is_refused(log, column, cell):
    needed = "a time in ns since 1970 is needed" if column == "timestamp_ns" else "a whole number is needed"
    with pytest.raises(SourceError, match=f"line 3: {column} is .*, {needed}"):
        read(log, f"{column},posx_m,posy_m\n1,0,0\n{cell},0,0\n")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, ["is empty"]),
        ("# only a comment\n", {}, ["is empty"]),
        (SEED, {}, ["no rows"]),
        ("frame,A,B\n1,2,3\n", {}, ["no column posx_m and no column posy_m", "frame, A, B", "--column posx=NAME"]),
        ("posx_m,B\n1,2\n", {}, ["no column posy_m", "--column posy=NAME"]),
        ("posx_m,posy_m\n1,2\n", {"aliases": {"energy": "MONO"}}, ["no column 'MONO'", "posx_m, posy_m"]),
        ("posx_m,posx_um,posy_m\n1,2,3\n", {}, ["several columns for posx", "'posx_m'", "'posx_um'"]),
        ("posx,posy_m\n1,2\n", {}, ["unit of posx", "--unit posx=um"]),
        ("posx_m,posy_m\n1,5,2,5\n", {}, ["line 2: 4 values for 2 columns", "decimal comma"]),
        ("posx_m,posy_m\nx,1\ny,2\n", {}, ["no row with a number for posx", "line 2"]),
        ('posx_m,posy_m\n"1,2\n', {}, ["line 2 is not CSV"]),
        ("posx_m,posy_m\n" + "1" * LONGEST_LINE + ",2\n", {}, ["line 2", "not a table"]),
        ("posx_m,posy_m\n1,2\n".encode("utf-16"), {}, ["UTF-8"]),
    ],
)
def test_table_that_cannot_be_read_is_refused_with_what_to_do(log, text, options, words):
    with pytest.raises(SourceError) as caught:
        read(log, text, **options)
    assert all(word in str(caught.value) for word in [str(log), *words]), str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"aliases": {"pos": "posx_m"}}, ["--column pos=posx_m", "posx, posy, energy"]),
        ({"units": {"posx": "inch"}}, ["--unit posx=inch", "m, mm, um"]),
        ({"units": {"energy": "eV"}}, ["no column for energy"]),
        ({"units": {"frame_index": "m"}}, ["--unit frame_index=m", "no column for frame_index"]),
    ],
)
def test_option_that_cannot_be_is_the_operators_error(log, options, words):
    with pytest.raises(ConfigError) as caught:
        read(log, "posx_m,posy_m\n1,2\n", **options)
    assert all(word in str(caught.value) for word in words)


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SourceError, match="cannot be read"):
            read_epics_csv(path)


@pytest.mark.parametrize(
    "header",
    [
        "SampleX [um],SampleY [um]",
        "x (mm),y (mm)",
        "posx [µm],posy [μm]",
        "X_um,Y um",
        "SampleX {microns},SampleY{Micrometers}",
    ],
)
def test_usual_names_with_a_unit_in_the_header_are_known(log, header):
    factor = 1e-3 if "mm" in header else 1e-6
    table = read(log, f"{header}\n1,2\n")
    assert table.columns["posx_m"].tolist() == pytest.approx([factor])
    assert table.columns["posy_m"].tolist() == pytest.approx([2 * factor])
    assert len(table.sources) == 2


def test_a_unit_in_latin_1_is_known(log):
    table = read(log, "posx_µm,posy [µm]\n1,2\n".encode("latin-1"))
    assert table.columns["posx_m"].tolist() == [1e-6] and table.columns["posy_m"].tolist() == [2e-6]


def test_the_seeds_name_comes_before_others(log):
    assert read(log, "x,posx_m,posy_m\n9,1,2\n").columns["posx_m"].tolist() == [1]


def test_a_column_can_be_named_without_its_unit(log):
    table = read(log, "Motor A [um],posy_m\n1,2\n", aliases={"x": "Motor A"})
    assert table.columns["posx_m"].tolist() == [1e-6]


def test_the_hint_for_a_unit_can_be_copied(log):
    with pytest.raises(
        SourceError, match=r"\(column 'sample_x' in .*\) is not known: give it, such as --unit posx=um --unit posy=um"
    ):
        read(log, "seq_num,sample_x,sample_y\n1,0,0\n")
    read(log, "seq_num,sample_x,sample_y\n1,0,0\n", units={"posx": "um", "posy": "um"})


@pytest.mark.parametrize("delimiter", [";", "\t", " "])
def test_decimal_commas_are_read_where_columns_are_separated_otherwise(log, delimiter):
    lines = ["posx_um{0}posy_um{0}timestamp_s", "1,5{0}-2,25e1{0}1795218868,5", "3{0}4{0}1795218869"]
    table = read(log, "\n".join(lines).format(delimiter))
    assert table.columns["posx_m"].tolist() == pytest.approx([1.5e-6, 3e-6])
    assert table.columns["posy_m"].tolist() == pytest.approx([-22.5e-6, 4e-6])
    assert table.identities["timestamp"].tolist() == [1_795_218_868_500_000_000, 1_795_218_869_000_000_000]
    assert table.problems == () and "decimal commas" in table.notes[0]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-20T20:34:28Z", 0),
        ("2026-11-20T20:34:28.123456789Z", 123_456_789),
        ("2026-11-20 21:34:28.5+01:00", 500_000_000),
        ("2026-11-20T15:34:28,5-0500", 500_000_000),
        ("2026/11/20 20:34:28.000001", 1_000),
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "time", "timestamp_ns", "DateTime"])
def test_times_may_be_dates(log, text, ns, name):
    table = read(log, f"posx_m;posy_m;{name}\n0;0;{text}\n")
    assert table.identities["timestamp"].tolist() == [1_795_206_868_000_000_000 + ns]
    assert bool(table.notes) == ("/" in text), "only a time without a zone is taken as UTC"


def test_a_date_that_is_none_is_refused(log):
    with pytest.raises(SourceError, match="line 3: time is 'yesterday', a date such as"):
        read(log, "posx_m,posy_m,time\n0,0,2026-11-20T20:34:28Z\n0,0,yesterday\n")


@pytest.mark.parametrize("text", ["28.11.2026 12:00:01", "12:00:01", "Sat Nov 28 12:00:01 2026"])
def test_a_date_of_another_form_is_shown_with_one_that_is_known(log, text):
    with pytest.raises(SourceError, match=f"the first is '{text}': write dates as 2026-11-28T12:00"):
        read(log, f"posx_m;posy_m;timestamp\n0;0;{text}\n")


def test_a_time_that_is_no_date_is_no_identity(log):
    assert "timestamp" not in read(log, "posx_m,posy_m,time\n0,0,0.5\n").identities


@pytest.mark.parametrize("header", ["posx_um posy_um", "x (um) y (um)", "# x [um] y [um]", "# old\n# posx_um, posy_um"])
def test_blanks_separate_where_nothing_else_does(log, header):
    table = read(
        log,
        f"{header}\n1.0   2.0\n  3.0 4.0\n".replace("1.0   2.0", "1.0,2.0").replace("  3.0 4.0", "3.0,4.0")
        if "," in header
        else f"{header}\n1.0   2.0\n  3.0 4.0\n",
    )
    assert table.columns["posx_m"].tolist() == pytest.approx([1e-6, 3e-6]) and table.n_rows == 2


def test_a_title_above_a_table_of_blanks_is_told(log):
    with pytest.raises(SourceError, match=r"line 1 .* has ',' between its columns, line 2 .* blanks: leave out"):
        read(log, "Scan 00001, 4 x 4\nDataPoint Target_x Average_x\n0 16 0.0\n")
