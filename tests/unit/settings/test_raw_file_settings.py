"""Paths of the IOC's computer, and where this one has the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stream_service.settings.raw_file import RawFileSettings

MAP = {
    "/ioc/data": "/mnt/data",
    "/ioc/data/fast/": "/mnt/nvme",
    "C:\\data": "/mnt/windows",
    "\\\\server\\share": "/mnt/share",
}


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("/ioc/data/scan_raw.h5", "/mnt/data/scan_raw.h5"),
        ("/ioc/data", "/mnt/data"),
        ("/ioc/data/", "/mnt/data"),
        ("/ioc/data/fast/a/scan.h5", "/mnt/nvme/a/scan.h5"),
        ("/ioc//data/./x/../fast/scan.h5", "/mnt/nvme/scan.h5"),
        ("/ioc/database/scan.h5", "/ioc/database/scan.h5"),
        ("/data/scan.h5", "/data/scan.h5"),
        ("C:\\data\\2026\\scan.h5", "/mnt/windows/2026/scan.h5"),
        ("c:/Data/scan.h5", "/mnt/windows/scan.h5"),
        ("\\\\server\\share\\scan.h5", "/mnt/share/scan.h5"),
        ("/ioc/data/a\\b.h5", "/mnt/data/a\\b.h5"),
        ("raw/scan.h5", "raw/scan.h5"),
    ],
)
def test_longest_folder_that_fits_says_where_a_file_is(there: str, here: str) -> None:
    assert RawFileSettings(path_map=MAP).local_path(there) == Path(here)


def test_without_a_map_paths_are_the_same() -> None:
    assert RawFileSettings().local_path("/data/scan.h5") == Path("/data/scan.h5")


def test_root_itself_can_be_mapped() -> None:
    assert RawFileSettings(path_map={"/": "/ioc1"}).local_path("/data/scan.h5") == Path("/ioc1/data/scan.h5")
    assert RawFileSettings(path_map={"D:\\": "/mnt/d"}).local_path("D:\\a\\scan.h5") == Path("/mnt/d/a/scan.h5")


@pytest.mark.parametrize("wrong", [{"data": "/mnt/data"}, {"/data": "mnt/data"}, {"": "/mnt"}, {"/data": ""}])
def test_folders_that_are_not_whole_paths_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="not a whole path"):
        RawFileSettings(path_map=wrong)
