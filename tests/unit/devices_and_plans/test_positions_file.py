"""Positions of a scan from a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptychostream_plans.trajectories.positions_file import load_positions

ROWS = "0,1e-6\n2e-6,3e-6\n"


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", "x (µm),y\n".encode(), b"\xef\xbb\xbf# \xc2\xb5\n"])
def test_no_position_is_left_out_whatever_a_spreadsheet_puts_before_it(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_bytes(start + ROWS.encode())
    assert load_positions(path).x_m.tolist() == [0.0, 2e-6]


def test_a_table_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_bytes("µ,y\n".encode("latin-1") + ROWS.encode())
    with pytest.raises(ValueError, match=r"positions\.csv is not a text in UTF-8"):
        load_positions(path)
