"""The kept rows of a standard file in the layouts of other reconstruction programs: PyNX, tike, PtychoNN.

All of them want squares about the optical axis, upright, and positions of the beam on the sample. Rows that are
rejected (`/entry/keep`) are left out, since none of these layouts can say so. Written whole or not at all, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError, SourceError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.output_file import check_output
from stream_service.ptycho.image.export_image import RecoveredImage
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file import Check, whole_hdf5
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import values_in
from stream_service.standard_file.schema.cxi_tree import CXI_VERSION
from stream_service.standard_file.schema.spec import plot_of
from stream_service.text.units import JOULES_PER_EV

Floats = npt.NDArray[np.floating[Any]]


class Layout(StrEnum):
    """Program that is to read the export."""

    PYNX = "pynx"
    TIKE = "tike"
    PTYCHONN = "ptychonn"


class Export(NamedTuple):
    """An export that is done."""

    n_rows: int
    notes: tuple[str, ...]
    """On the rows of the standard file."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptRows:
    """The kept rows of an open standard file."""

    scan: ScanFile
    rows: npt.NDArray[np.intp]
    positions_xy_m: Floats
    """(rows, 2) beam on the sample."""
    _data: h5py.Dataset
    _mask: npt.NDArray[Any]
    _check: Check
    """Ends what is written of them in vain."""

    @classmethod
    def of(cls, scan: ScanFile, file: h5py.File, check: Check) -> Self:
        """Raises `SourceError` if there are none."""
        rows = np.flatnonzero(values_in(file, paths.KEEP, scan.n_rows))
        if not len(rows):
            raise SourceError(f"{scan.path} has no rows to use")
        positions = values_in(file, paths.POS, scan.n_rows)[rows]
        data = file[paths.DATA]
        assert isinstance(data, h5py.Dataset)
        return cls(scan, rows, positions, data, np.asarray(file[paths.MASK]), check)

    @property
    def side(self) -> int:
        """Of the squares."""
        return self.scan.square_px

    def frames(self) -> Iterator[npt.NDArray[np.float32]]:
        """Each (side, side), upright, the axis at n // 2. Raises `SourceError` for a damaged one."""
        square, good = self.scan.square, self._mask == 0
        for row in self.rows:
            self._check()
            yield self.scan.upright.apply(self.scan.frame(self._data, int(row), good)[square])

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(side, side) 1 = bad."""
        return np.ascontiguousarray(self.scan.upright.apply(self._mask[self.scan.square]))

    @property
    def pixel_yx_m(self) -> tuple[float, float]:
        """On the sample."""
        return self.scan.sample_pixel_yx_m((self.side, self.side))


def export(
    data: Path, out: Path, layout: Layout, recon: Path | None, *, force: bool, also: AlsoBelow = NOWHERE_ELSE
) -> Export:
    """Write the kept rows of `data` to `out`. `recon` is a reconstruction of the same scan.

    `also` names folders to which the two may lead beside their own.

    Raises `SourceError`, `ConfigError` (also if `out` is `data` or `recon`), and `WriteError` if `out` exists already
    or cannot be written.
    """
    check_output(out, force=force, inputs=filter(None, (data, recon)))
    suffixes = (".cxi", ".h5") if layout is Layout.PYNX else (".h5", ".hdf5")
    if out.suffix not in suffixes:
        raise ConfigError(f"--output {out}: the name must end in {' or '.join(suffixes)}")
    scan = ScanFile.read(data, also)
    scan.check_plausible()
    image = RecoveredImage.read(recon, also) if recon is not None else None
    write: dict[Layout, Callable[[h5py.File, KeptRows, RecoveredImage | None], None]] = {
        Layout.PYNX: _write_pynx,
        Layout.TIKE: _write_tike,
        Layout.PTYCHONN: _write_ptychonn,
    }
    with scan.open() as source, whole_hdf5(out, "write the export", replace=force) as (target, check):
        kept = KeptRows.of(scan, source, check)
        write[layout](target, kept, image)
    return Export(len(kept.rows), scan.notes)


def _write_pynx(target: h5py.File, kept: KeptRows, image: RecoveredImage | None) -> None:
    """Datasets of PyNX's CXI runner: `translation` (3, N), for PyNX the place of its *probe*; energy in joules."""
    scan = kept.scan
    target["cxi_version"] = CXI_VERSION
    target["number_of_entries"] = 1
    instrument = target.create_group(paths.INSTRUMENT)
    instrument["name"] = "ptychostream"
    instrument["source_1/energy"] = scan.energy_eV * JOULES_PER_EV
    detector = instrument.create_group("detector_1")
    detector["distance"] = scan.det_dist_m
    detector["x_pixel_size"] = detector["y_pixel_size"] = scan.pixel_m
    detector["mask"] = kept.mask
    _write_frames(detector, "data", kept, np.asarray)
    target[paths.TRANSLATION] = _in_space(kept.positions_xy_m).T
    target[f"{paths.PLOT_1}/data"] = h5py.SoftLink(paths.CXI_DATA)
    target[f"{paths.PLOT_1}/translation"] = h5py.SoftLink(paths.TRANSLATION)
    target.attrs["default"] = paths.CXI_ENTRY.strip("/")
    target[paths.CXI_ENTRY].attrs.update({"NX_class": "NXentry", "default": "data_1"})
    target[paths.PLOT_1].attrs.update(plot_of("data", 3))
    if image is not None:
        instrument["source_1/illumination"] = image.probe


def _write_tike(target: h5py.File, kept: KeptRows, image: RecoveredImage | None) -> None:
    """`data` with the zero frequency first, `scan` in pixels (row, column) from 1 on, `probe` (1, 1, modes, n, n).

    In tike `scan` is where on `psi` the corner of the probe's grid lies, half a grid before the beam. `origin_yx_m` is
    where the middle of psi[0, 0] lies on the sample.
    """
    _write_frames(target, "data", kept, np.fft.ifftshift)
    corner_px = kept.positions_xy_m[:, ::-1] / np.array(kept.pixel_yx_m) - kept.side // 2
    first_px = corner_px.min(axis=0)
    target["scan"] = (corner_px - first_px + 1.0).astype(np.float32)
    target["scan"].attrs["pixel_yx_m"] = kept.pixel_yx_m
    target["scan"].attrs["origin_yx_m"] = (first_px - 1.0) * np.array(kept.pixel_yx_m)
    target["measured_pixels"] = np.fft.ifftshift(kept.mask == 0)
    if image is not None:
        image.check_fit(kept.side, kept.pixel_yx_m)
        target["probe"] = image.probe[np.newaxis, np.newaxis]


def _write_ptychonn(target: h5py.File, kept: KeptRows, image: RecoveredImage | None) -> None:
    """`patterns`, and `amplitude` and `phase` of the object that each of them saw: what a network learns from."""
    _write_frames(target, "patterns", kept, np.asarray)
    target["positions_xy_m"] = kept.positions_xy_m
    if image is None:
        return
    image.check_fit(kept.side, kept.pixel_yx_m)
    shape = (len(kept.rows), kept.side, kept.side)
    seen = {name: target.create_dataset(name, shape, np.float32) for name in ("amplitude", "phase")}
    for number, (x_m, y_m) in enumerate(kept.positions_xy_m):
        patch = image.patch(x_m, y_m, kept.side)
        seen["amplitude"][number], seen["phase"][number] = np.abs(patch), np.angle(patch)


def _write_frames(
    target: h5py.Group, name: str, kept: KeptRows, arrange: Callable[[npt.NDArray[np.float32]], Any]
) -> None:
    frames = target.create_dataset(
        name, (len(kept.rows), kept.side, kept.side), np.float32, chunks=(1, kept.side, kept.side)
    )
    for number, frame in enumerate(kept.frames()):
        frames[number] = arrange(frame)


def _in_space(positions_xy_m: Floats) -> Floats:
    return np.column_stack([positions_xy_m, np.zeros(len(positions_xy_m))])
