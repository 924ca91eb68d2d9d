"""`<scan>_recon.cxi`: a reconstruction as CXI's `image_1`, with probe, errors and positions, linked to the data file.

The image is plain (not FFT-shifted): rows grow with +y and columns with +x of the beam on the sample, and
`first_pixel_position` says where it lies there. What the scan did not cover is marked in `mask`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.ptycho.image.object_image import covered_pixels
from stream_service.ptycho.optics.probe_file import probe_datasets
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file import write_tree
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.cxi_tree import cxi_head
from stream_service.standard_file.schema.row_columns import translation
from stream_service.standard_file.schema.spec import (
    DatasetSpec,
    Tree,
    array_dataset,
    number_dataset,
    plot_of,
    text_dataset,
    whole_dataset,
)

SUFFIX = "_recon.cxi"
IMAGE = f"{paths.CXI_ENTRY}/image_1"
PROCESS = f"{IMAGE}/process_1"


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """Result of a reconstruction."""

    scan: ScanFile
    ptyr: Ptyr
    positions_xy_m: npt.NDArray[np.float64]
    """(rows, 2) beam on the sample, x then y, of the rows that were used, as measured."""
    command: str
    """What was asked for, for the record."""
    ptypy_version: str
    notes: tuple[str, ...] = field(default=())

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """(ny, nx) where on the object there was light enough for an image."""
        return covered_pixels(self.ptyr, self.positions_xy_m)


def default_image_path(data: Path) -> Path:
    """Beside the standard file: `scan001_std.h5` gives `scan001_recon.cxi`."""
    return data.with_name(data.stem.removesuffix("_std") + SUFFIX)


def write_image(path: Path, reconstruction: Reconstruction, *, force: bool) -> None:
    """Write it, whole or not at all. Raises `WriteError`."""
    data = os.path.relpath(reconstruction.scan.path.resolve(), path.resolve().parent)  # both may be moved together

    def show_data(file: h5py.File) -> None:
        for shown in (paths.DETECTOR, paths.PLOT_1):
            file[shown] = h5py.ExternalLink(data, shown)

    write_tree(path, _tree(reconstruction), "write the image", replace=force, then=show_data)


def _tree(found: Reconstruction) -> Tree:
    scan, ptyr = found.scan, found.ptyr
    engines = " then ".join(dict.fromkeys(ptyr.engines))
    errors = ptyr.errors[:, 1].astype(np.float32)
    algorithm = {"algorithm": engines, "iterations": ptyr.n_iterations, "error_metric": errors}
    return Tree(
        groups={
            "/": {"default": paths.CXI_ENTRY.strip("/")},
            paths.CXI_ENTRY: {"NX_class": "NXentry", "default": "image_1"},
            paths.INSTRUMENT: {"NX_class": "NXinstrument"},
            paths.SOURCE: {"NX_class": "NXsource"},
            paths.SAMPLE: {"NX_class": "NXsample"},
            paths.GEOMETRY: {"NX_class": "NXgeometry"},
            IMAGE: plot_of("data", 2),
            PROCESS: {"NX_class": "NXprocess", **algorithm},
        },
        datasets=(
            *cxi_head(scan.scan_id, scan.energy_eV),
            *_image(found),
            *_process(found, engines),
            *probe_datasets(ptyr.probe, ptyr.pixel_yx_m, "(modes, y, x) wave on the sample; |.|^2 in counts."),
            *_positions(found),
        ),
        soft_links={},
    )


def _image(found: Reconstruction) -> tuple[DatasetSpec, ...]:
    ptyr = found.ptyr
    pixel_y_m, pixel_x_m = ptyr.pixel_yx_m
    ny, nx = ptyr.object.shape
    size = np.array([nx * pixel_x_m, ny * pixel_y_m, 0.0])
    first = np.array([ptyr.origin_yx_m[1], ptyr.origin_yx_m[0], 0.0])
    return (
        array_dataset(f"{IMAGE}/data", "Complex transmission of the sample.", ptyr.object),
        array_dataset(f"{IMAGE}/mask", "1 = covered by the scan, 0 = not.", found.covered.astype(np.float32)),
        text_dataset(f"{IMAGE}/data_type", "A phased complex amplitude, in the words of CXI.", "amplitude"),
        text_dataset(f"{IMAGE}/data_space", "The sample's own space, not the detector's.", "real"),
        whole_dataset(f"{IMAGE}/is_fft_shifted", "0 = the image is as one sees it.", 0),
        whole_dataset(f"{IMAGE}/dimensionality", "Of the image.", 2),
        array_dataset(f"{IMAGE}/image_size", "Width, height and depth of the image.", size, "m"),
        number_dataset(f"{IMAGE}/x_pixel_size", "From a column to the next.", pixel_x_m, "m"),
        number_dataset(f"{IMAGE}/y_pixel_size", "From a row to the next.", pixel_y_m, "m"),
        array_dataset(f"{IMAGE}/first_pixel_position", "Middle of data[0, 0] on the sample: x, y, z.", first, "m"),
    )


def _process(found: Reconstruction, engines: str) -> tuple[DatasetSpec, ...]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    versions = f"{found.ptypy_version} (ptychostream {version('ptychostream')})"
    metric = "(iterations, 3) PtyPy's Fourier, photon and exit-wave error after each iteration; 0 = not computed."
    return (
        text_dataset(f"{PROCESS}/program", "What made the image.", "PtyPy"),
        text_dataset(f"{PROCESS}/version", "Its version.", versions),
        text_dataset(f"{PROCESS}/command", "What was asked for.", found.command),
        text_dataset(f"{PROCESS}/date", "When, ISO 8601.", now),
        text_dataset(f"{PROCESS}/comments", "What there is to know of it.", " ".join(found.notes)),
        text_dataset(f"{PROCESS}/algorithm", "Engines, in order.", engines),
        whole_dataset(f"{PROCESS}/iterations", "Of all engines.", found.ptyr.n_iterations),
        array_dataset(f"{PROCESS}/errors", metric, found.ptyr.errors),
    )


def _positions(found: Reconstruction) -> tuple[DatasetSpec, ...]:
    measured = found.positions_xy_m
    specs = [_translation("translation", "Motion of the sample as measured, of the rows used.", measured)]
    refined = found.ptyr.positions_yx_m
    if refined is not None:
        about = "The same as PtyPy refined it, in the same order."
        specs.append(_translation("translation_refined", about, refined[:, ::-1]))
    return tuple(specs)


def _translation(name: str, about: str, beam_xy_m: npt.NDArray[np.float64]) -> DatasetSpec:
    return array_dataset(f"{paths.GEOMETRY}/{name}", about, translation(beam_xy_m), "m")
