"""Runs make their files when they will: one that is armed while another one begins."""

from __future__ import annotations

from pathlib import Path

import h5py

from stream_service.standard_file import GuardedFile


def test_file_is_made_while_another_one_is_being_made(tmp_path: Path) -> None:
    def make_other(file: h5py.File) -> None:
        file["which"] = 1
        with GuardedFile(tmp_path / "other.h5") as other:
            other["which"] = 2

    with GuardedFile(tmp_path / "one.h5", make_other):
        pass
    for name, which in (("one", 1), ("other", 2)):
        with h5py.File(tmp_path / f"{name}.h5") as file:
            assert file["which"][()] == which
