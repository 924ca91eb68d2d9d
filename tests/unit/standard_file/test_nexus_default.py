"""NeXus viewers find a default plot in every file of ours: from the root and from each entry, growing or finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.hdf5.opening import open_hdf5
from stream_service.ptycho.image.export import Layout, export
from stream_service.ptycho.image.image_file import Reconstruction, write_image
from stream_service.ptycho.optics.probe_file import write_probe
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.reconstruct import kept_positions_xy_m
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import append_example_rows, example_header, write_example

N_ROWS, SHAPE = 6, (16, 20)


def finished(folder: Path) -> Path:
    write_example(folder / "scan_std.h5", N_ROWS, frame_shape=SHAPE)
    return folder / "scan_std.h5"


def growing(folder: Path) -> Path:
    """Copied while its writer has it open, since HDF5 opens a file only once in a process."""
    with StandardFile.create(folder / "scan_std.h5", example_header(2 * N_ROWS, frame_shape=SHAPE)) as file:
        append_example_rows(file, 0, N_ROWS)
        file.flush()
        shutil.copyfile(folder / "scan_std.h5", folder / "growing_std.h5")
    return folder / "growing_std.h5"


def reconstructed(folder: Path) -> Path:
    scan = ScanFile.read(finished(folder))
    pixel_yx_m = scan.sample_pixel_yx_m((16, 16))
    image, probe = np.ones((40, 50), np.complex64), np.ones((2, 16, 16), np.complex64)
    ptyr = Ptyr(image, probe, pixel_yx_m, (0.0, 0.0), ("DM",), np.ones((1, 3)), None)
    found = Reconstruction(scan, ptyr, kept_positions_xy_m(scan), "", "0")
    write_image(folder / "scan_recon.cxi", found, force=False)
    return folder / "scan_recon.cxi"


def first_probe(folder: Path) -> Path:
    scan = ScanFile.read(finished(folder))
    write_probe(folder / "probe.cxi", scan, np.ones((16, 16), np.complex64), "a probe", force=False)
    return folder / "probe.cxi"


def exported(folder: Path) -> Path:
    export(finished(folder), folder / "pynx.cxi", Layout.PYNX, None, force=False)
    return folder / "pynx.cxi"


KINDS: dict[Callable[[Path], Path], tuple[str, tuple[int, ...]]] = {
    finished: ("/entry_1/data_1", (N_ROWS, *SHAPE)),
    growing: ("/entry_1/data_1", (N_ROWS, *SHAPE)),
    reconstructed: ("/entry_1/image_1", (40, 50)),
    first_probe: ("/entry_1/data_1", (16, 16)),
    exported: ("/entry_1/data_1", (N_ROWS, 16, 16)),
}
"""The h5 group that is plotted, and the shape of its signal."""


def default_plot(group: Any) -> h5py.Group:
    """NeXus' way to the default plot (manual, "Find the plottable data"): `@default` from child to child."""
    assert isinstance(group, h5py.Group)
    if text(group.attrs.get("NX_class")) == "NXdata":
        return group
    name = text(group.attrs.get("default"))
    assert name and "/" not in name, f"{group.name} names no child as its default"
    return default_plot(group[name])


def check_plot(group: h5py.Group) -> h5py.Dataset:
    """The signal of an NXdata group, whose axes are one dataset of one dimension each, or none (".")."""
    signal = group[text(group.attrs["signal"])]
    assert isinstance(signal, h5py.Dataset) and signal.dtype.kind in "iufc"
    names: Any = group.attrs["axes"]
    axes = [text(name) for name in names]
    assert len(axes) == signal.ndim
    for name, length in zip(axes, signal.shape, strict=True):
        axis: Any = None if name == "." else group[name]
        assert axis is None or axis.shape == (length,)
    return signal


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[h5py.File, str, tuple[int, ...]]]:
    with open_hdf5(request.param(tmp_path)).file as file:
        yield file, *KINDS[request.param]


@pytest.mark.further(but=2)
def test_the_root_leads_to_a_plot(opened: tuple[h5py.File, str, tuple[int, ...]]) -> None:
    file, place, shape = opened
    plot = default_plot(file)
    assert plot.name == place
    assert check_plot(plot).shape == shape


@pytest.mark.further(but=2)
def test_every_entry_leads_to_a_plot(opened: tuple[h5py.File, str, tuple[int, ...]]) -> None:
    file, _, _ = opened
    entries = [file[name] for name in map(str, file) if name.startswith("entry")]
    assert entries
    for entry in entries:
        check_plot(default_plot(entry))
