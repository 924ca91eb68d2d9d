"""Pictures of a file are drawn whatever its name is."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_service.qc.pictures import draw_overview
from stream_service.testing.example_file import write_example


@pytest.mark.further(but=1)
@pytest.mark.parametrize("name", ["a$\\frac{$b", "a\nb\x1b[2J", "µ_é"])
def test_a_file_of_any_name_gets_its_picture(name: str, tmp_path: Path) -> None:
    write_example(tmp_path / f"{name}.h5", 6)
    draw_overview(tmp_path / f"{name}.h5", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
