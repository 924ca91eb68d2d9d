"""`check` says that the data root is not there, as where its disk is not mounted, and makes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_service.service.check import check_folder


def levels(root: Path) -> list[str]:
    return [finding.level for finding in check_folder(root)]


def test_folder_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    root = tmp_path / "mount" / "2026"
    warning, ok, *_ = check_folder(root)
    assert (warning.level, ok.level) == ("warning", "ok")
    assert f"{root} is not there" in warning.text and "mounted?" in warning.text
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_there_is_well(tmp_path: Path) -> None:
    assert levels(tmp_path)[0] == "ok"


@pytest.mark.parametrize("below", ["", "scans"])
def test_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "data").write_text("")
    assert levels(tmp_path / "data" / below)[-1] == "error"
