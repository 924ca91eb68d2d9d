"""Texts are read from files, and from nothing that would keep a command waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_service.text.text_file import MOST_BYTES, text_of


def test_a_text_is_read_with_its_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("µm\r\n".encode())
    assert text_of(tmp_path / "a.yaml") == "µm\r\n"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="a pipe or a device, not a file"):
            text_of(path)
    with pytest.raises(IsADirectoryError):
        text_of(tmp_path)


def test_a_file_longer_than_any_text_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "long").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(OSError, match="longer than 16 MiB"):
        text_of(tmp_path / "long")
