"""The report of a run: what its page says of files in every state, and that it asks for nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from evaluate_command import run
from reported_runs import DIM, REPEATED, ledger_with_losses, write_flagged, write_run
from unclosed_files import write_killed

from stream_service.core.exposure import Flag
from stream_service.standard_file import StandardFile, paths
from stream_service.testing.example_file import append_example_rows, example_header

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """A page as a browser sees it: its texts, its addresses, and that every element is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def report(file: Path) -> Page:
    """The page beside a file, as the command makes it."""
    run("report", file)
    return Page(file.with_name(file.stem.removesuffix("_std") + "_report.html"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """That of a good run with two rejected rows of twelve."""
    return report(write_run(tmp_path_factory.mktemp("report") / "scan7_std.h5"))


def test_page_begins_with_how_the_run_went(page: Page) -> None:
    assert "COMPLETE: 12 of 12 frames in 12 rows, 2 rejected" in page.text
    assert "Look at it before you go on" in page.text
    assert "all expected frames were received" in page.text


def test_page_is_one_file_without_a_request_or_a_script(page: Page) -> None:
    assert [address for address in page.addresses if not address.startswith("data:")] == []
    assert "script" not in page.tags
    assert page.tags.count("img") > 8


def test_rejected_rows_are_named_with_their_reasons(page: Page) -> None:
    assert f"{DIM} 0.83 5 0 intensity -62 % against its neighbours" in page.text
    assert f"{REPEATED} 1.00 7 0 the same frame as row 6" in page.text
    assert "1 for intensity, 1 for repeated frame" in page.text


def test_page_has_the_facts_of_the_scan_and_the_commands_to_go_on(page: Page) -> None:
    for words in ("710 eV", "120 mm", "11 µm", "6 rows x 8 columns", "10 ms", "1 min 05 s", "Settings as applied"):
        assert words in page.text, words
    assert re.search(r"ptychostream evaluate \S*scan7_std.h5 --apply", page.text)
    assert re.search(r"ptychostream reconstruct \S*scan7_std.h5", page.text)


def test_lost_frames_are_named_as_ranges(tmp_path: Path) -> None:
    ledger = ledger_with_losses(12, slice(3, 6))
    said = report(write_run(tmp_path / "lost_std.h5", state="INCOMPLETE", ledger=ledger)).text
    assert "INCOMPLETE: 9 of 12 frames" in said
    assert "ids 4-6" in said
    assert "3 frames were exposed and are not in the file" in said


def test_flags_are_said_in_words(tmp_path: Path) -> None:
    said = report(write_flagged(tmp_path / "flagged_std.h5", Flag.NO_TIME | Flag.STALE)).text
    assert "the stamp is not a time (no_time); the value on the frame does not follow its PV (stale)" in said
    assert "1 planned position has no row that can be used" in said


@pytest.mark.further(but=1)
@pytest.mark.parametrize("n_rows", [0, 1])
def test_run_without_rows_and_with_one_has_a_report(tmp_path: Path, n_rows: int) -> None:
    said = report(write_run(tmp_path / "short_std.h5", n_rows, state="INCOMPLETE" if not n_rows else "COMPLETE")).text
    assert ("No row is in the file" in said) == (not n_rows)


def test_run_whose_positions_are_not_known_has_a_report_without_maps(tmp_path: Path) -> None:
    file = write_run(tmp_path / "lost_std.h5")
    with h5py.File(file, "r+") as opened:
        for path in (paths.POS_X, paths.POS_Y):
            opened[path][...] = np.nan
    said = report(file).text
    assert "position not known 12 rows" in said
    assert "STXM" not in said


def test_killed_writer_leaves_a_file_of_which_the_report_says_so(tmp_path: Path) -> None:
    file = write_killed(tmp_path)
    said = report(file).text
    assert "RECEIVING: 40 of 60 frames in 40 rows so far" in said
    assert f"ptychostream repair {file}" in said
    assert "No row has a verdict yet" in said


@pytest.mark.further(but=1)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1.0])
def test_numbers_that_cannot_be_have_a_report(tmp_path: Path, value: float) -> None:
    file = write_run(tmp_path / "damaged_std.h5")
    with h5py.File(file, "r+") as opened:
        for path in (f"{paths.QC}/score", paths.INTENSITY, paths.ROW_ENERGY):
            opened[path][...] = value
        opened[paths.STAMPS][...] = np.iinfo(np.int64).max
    report(file)


def test_growing_file_is_reported_as_far_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "growing_std.h5"
    with StandardFile.create(path, example_header(20)) as file:
        file.set_state("RECEIVING")
        append_example_rows(file, 0, 4)
        file.flush()
        assert "in 4 rows so far" in report(path).text
        append_example_rows(file, 4, 6)
        file.flush()
        assert "in 6 rows so far" in report(path).text


@pytest.mark.further
def test_rows_of_groups_are_counted_by_frames(tmp_path: Path) -> None:
    said = report(write_run(tmp_path / "groups_std.h5", frames_per_row=3)).text
    assert "36 of 36 frames in 12 rows" in said
    assert "frames in a row 3" in said


@pytest.mark.further
def test_file_of_an_earlier_version_lacks_columns_and_has_a_report(tmp_path: Path) -> None:
    file = write_run(tmp_path / "old_std.h5")
    with h5py.File(file, "r+") as opened:
        for path in (f"{paths.QC}/score", f"{paths.QC}/reason", f"{paths.FRAMES}/planned", f"{paths.LEDGER}/status"):
            del opened[path]
        opened.move(f"{paths.LEDGER}/unexpected", f"{paths.LEDGER}/surplus")
    assert "COMPLETE: 12 of 12 frames in 12 rows, 1 rejected" in report(file).text


def test_verdicts_of_an_evaluation_come_before_those_of_the_run(tmp_path: Path) -> None:
    file = write_run(tmp_path / "applied_std.h5")
    run("evaluate", file, "--reject-topk", "1", "--apply", "--out", tmp_path / "found")
    said = report(file).text
    assert "12 rows, 1 rejected" in said
    assert "The 1 rejected row is left out of reconstructions already" in said


def test_texts_of_others_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\u202e$\\frac{\x1b[2J"
    file = write_run(
        tmp_path / "<b>a&b_std.h5",
        scan_id=hostile,
        sample=hostile,
        message=hostile,
        end_reason="'\"></div><h1>",
        settings={"profile": {"beamline": hostile}, "request": {"metadata": {hostile: hostile}}},
        versions={hostile: hostile},
    )
    page = report(file)
    assert "script" not in page.tags
    assert page.tags.count("h1") == 1
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert "{{ 7*7 }}\\u202e$\\frac{\\x1b[2J" in page.text


def test_file_that_is_no_standard_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["/entry/data"] = np.zeros((3, 4, 4))
    assert f"ptychostream ingest hdf5 {other}" in run("report", other, code=1)
    (tmp_path / "text.h5").write_text("no HDF5")
    assert "no HDF5 file" in run("report", tmp_path / "text.h5", code=1)
    assert "no such file" in run("report", tmp_path / "none.h5", code=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.h5", "text.h5"]


def test_only_a_report_is_replaced(tmp_path: Path) -> None:
    file, mine = write_run(tmp_path / "scan_std.h5"), tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    assert "no report of a run" in run("report", file, "--output", mine, code=1)
    assert mine.read_text() == "<p>mine</p>"
    assert "is one of the files that are read" in run("report", file, "--output", file, code=1)
    assert "does not exist" in run("report", file, "--output", tmp_path / "no" / "report.html", code=1)
    run("report", file, "--output", tmp_path / "new.html")
    run("report", file, "--output", tmp_path / "new.html")
