"""A picture for which the disk, or a limit, has no room is a sentence, and nothing of it is left."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from stream_service.errors import WriteError
from stream_service.qc.pictures import save_picture


@pytest.fixture
def limit_of_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_of_it_is_left(tmp_path: Path, limit_of_files: None) -> None:
    figure = Figure()
    figure.subplots().plot(range(9))
    with pytest.raises(WriteError, match=r"maps\.png: could not write the picture: File too large"):
        save_picture(figure, tmp_path / "maps.png", dpi=110)
    assert list(tmp_path.iterdir()) == []
