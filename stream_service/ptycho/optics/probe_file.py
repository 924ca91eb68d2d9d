"""A probe in a file: CXI's `source_1/illumination`, as `ptychostream probe` and a reconstruction write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError, SourceError
from stream_service.hdf5.failures import readable
from stream_service.hdf5.opening import open_hdf5
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file import write_tree
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at, number_in
from stream_service.standard_file.schema.cxi_tree import cxi_head
from stream_service.standard_file.schema.spec import (
    DatasetSpec,
    Tree,
    array_dataset,
    number_dataset,
    plot_of,
)

Complex = npt.NDArray[np.complex64]

ILLUMINATION = f"{paths.SOURCE}/illumination"
PIXEL_TOLERANCE = 1e-3
"""A probe whose pixel differs by more belongs to another geometry; less is rounding of the energy."""


def probe_datasets(probe: Complex, pixel_yx_m: tuple[float, float], about: str) -> tuple[DatasetSpec, ...]:
    """`source_1/illumination` (modes, y, x), and the pixel beside it."""
    return (
        array_dataset(ILLUMINATION, about, probe),
        number_dataset(f"{paths.SOURCE}/x_pixel_size", "Of the illumination.", pixel_yx_m[1], "m"),
        number_dataset(f"{paths.SOURCE}/y_pixel_size", "Of the illumination.", pixel_yx_m[0], "m"),
    )


def write_probe(path: Path, scan: ScanFile, probe: Complex, about: str, *, force: bool) -> None:
    """Write a probe (y, x) for a scan as a small CXI file, whole or not at all. Raises `WriteError`."""
    tree = Tree(
        groups={
            "/": {"default": paths.CXI_ENTRY.strip("/")},
            paths.CXI_ENTRY: {"NX_class": "NXentry", "default": "data_1"},
            paths.INSTRUMENT: {"NX_class": "NXinstrument"},
            paths.SOURCE: {"NX_class": "NXsource"},
            paths.PLOT_1: plot_of("data", probe.ndim),
        },
        datasets=(
            *cxi_head(scan.scan_id, scan.energy_eV),
            *probe_datasets(probe, scan.sample_pixel_yx_m((scan.square_px, scan.square_px)), about),
        ),
        soft_links={f"{paths.PLOT_1}/data": ILLUMINATION},
    )
    write_tree(path, tree, "write the probe", replace=force)


def read_probe(path: Path, scan: ScanFile) -> Complex:
    """(modes, n, n) for the square that PtyPy takes of the scan's frames.

    Raises `SourceError` if there is none, `ConfigError` if it belongs to another geometry.
    """
    with open_hdf5(path, scan.also).file as file, readable(str(path)):
        stored = dataset_at(file, ILLUMINATION)
        pixels = [number_in(dataset_at(file, f"{paths.SOURCE}/{axis}_pixel_size")) for axis in "yx"]
        probe = np.asarray(stored, np.complex64) if stored is not None else None
    if probe is None or probe.ndim not in (2, 3):
        raise SourceError(f"{path} has no probe at {ILLUMINATION}, (y, x) or (modes, y, x)")
    side = (scan.square_px, scan.square_px)
    if probe.shape[-2:] != side:
        raise ConfigError(
            f"the probe in {path} has {probe.shape[-2]} x {probe.shape[-1]} pixels, and PtyPy takes {side[0]} x "
            f"{side[1]} of the frames of {scan.path}: make one with `ptychostream probe`"
        )
    for there_m, here_m in zip(pixels, scan.sample_pixel_yx_m(side), strict=True):
        if there_m is not None and abs(there_m / here_m - 1) > PIXEL_TOLERANCE:
            raise ConfigError(
                f"the probe in {path} has pixels of {there_m * 1e9:.4g} nm, this scan {here_m * 1e9:.4g} nm: another "
                "energy, distance or ROI; make one with `ptychostream probe`"
            )
    return probe.reshape(-1, *side)
