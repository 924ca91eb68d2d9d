"""silx and nexusformat (NeXpy) show a plot by themselves: of a file that grows, a finished one, a reconstruction."""

from __future__ import annotations

from pathlib import Path

import pytest
import silx.io
from nexusformat.nexus import NXFile
from silx.io.nxdata import get_default

ENTRIES = ("/", "/entry", "/entry_1")


def plots_of_silx(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of what silx view draws when one clicks on the file, and on each entry."""
    with silx.io.open(str(path)) as file:
        found = {name: get_default(file[name]) for name in ENTRIES if name in file}
        assert all(plot is not None and plot.is_valid and not plot.issues for plot in found.values())
        return {name: plot.signal.shape for name, plot in found.items()}


class GrowingFile(NXFile):
    """nexusformat 2.1.0 opens a file again and again, and only the first time as it is told."""

    def open(self, **options: bool) -> None:
        super().open(**{**options, "swmr": True})


def plots_of_nexusformat(path: Path, *, swmr: bool = False) -> dict[str, tuple[int, ...]]:
    """The same of NeXpy."""
    root = (GrowingFile(str(path), "r", swmr=True) if swmr else NXFile(str(path), "r")).readfile()
    found = {name: root[name] if name != "/" else root for name in ENTRIES if name in root}
    plots = {name: node.plottable_data for name, node in found.items()}
    assert all([len(axis) for axis in plot.nxaxes] == list(plot.nxsignal.shape) for plot in plots.values())
    assert all(node.get_default() is not None for node in found.values())
    return {name: plot.nxsignal.shape for name, plot in plots.items()}


def test_a_finished_file_is_plotted(standard_file: Path, expected) -> None:
    wanted = dict.fromkeys(ENTRIES, expected.frames.shape)
    assert plots_of_silx(standard_file) == wanted
    assert plots_of_nexusformat(standard_file) == wanted


def test_a_growing_file_is_plotted(growing_file: Path) -> None:
    wanted = dict.fromkeys(ENTRIES, (12, 6, 8))
    assert plots_of_silx(growing_file) == wanted
    assert plots_of_nexusformat(growing_file, swmr=True) == wanted


@pytest.mark.parametrize("plots", [plots_of_silx, plots_of_nexusformat])
def test_a_reconstruction_is_plotted_and_so_is_its_data(reconstruction: Path, plots) -> None:
    assert plots(reconstruction) == dict.fromkeys(("/", "/entry_1"), (40, 50))
    with silx.io.open(str(reconstruction)) as file:
        plot = get_default(file["/entry_1/data_1"])
        assert plot is not None and plot.signal.shape == (12, 16, 20)
