"""PtyPy straight from TIFF files and a sidecar: `TiffSidecar`, and the beamlines' `HERMES_TIFF` and `XRNF_TIFF`.

Importing this module registers them with PtyPy, in whose Python ptychostream must be installed, too:

    import stream_service.ptycho.ptypy.tiff_ptyscan
    scan.data.name = "HERMES_TIFF"; scan.data.pattern = "scan001_*.tif"; scan.data.sidecar = "scan001_sidecar.h5"

The frames go through `ptychostream ingest tiff` into a standard file of their own, which PtyPy's Hdf5Loader then reads:
so frames, positions and mask are those of the standard file because they are a standard file. It is removed when
Python ends, unless `standard_file` names a place for it. All options of the command are parameters here.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import tempfile
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

from ptypy.experiment import register
from ptypy.experiment.hdf5_loader import Hdf5Loader
from ptypy.utils import Param

from stream_service.errors import ConfigError
from stream_service.ptycho.scan_file import ScanFile
from stream_service.run.recorded.correction_options import CorrectionOptions
from stream_service.run.recorded.ingest import ingest
from stream_service.sources.tiff.recording import TiffRecording
from stream_service.standard_file.schema import paths

OWN_PARAMETERS = {
    "pattern": "Glob of numbered or multi-page TIFFs.",
    "sidecar": "HDF5 with the values of each frame (ptychostream sidecar).",
    "standard_file": "Keep the standard file that is made here; removed at the end if None.",
}
OPTIONS = {option.name: option.metadata["help"] for option in fields(CorrectionOptions)}
OTHER_NAMES = {"mask": "mask_reference"}
"""Options whose names mean something else to PtyPy."""


def _parameters(**defaults: str) -> str:
    """Docstring in which PtyPy finds the names, types and defaults of parameters."""
    notes = OWN_PARAMETERS | {_name(option): text for option, text in OPTIONS.items()}
    entries = [
        f"[{name}]\ndefault = {defaults.get(name)!r}\ntype = None, str, int, float, tuple, list\nhelp = {note}\n"
        for name, note in notes.items()
    ]
    return "Frames from TIFF files and a sidecar.\n\nDefaults:\n\n" + "\n".join(entries)


class _TiffSidecar(Hdf5Loader):
    DEFAULT: Any  # what PtyPy read in the docstring

    def __init__(self, pars: Any = None, **kwargs: Any) -> None:
        p = self.DEFAULT.copy(99)
        p.update(pars, in_place_depth=99)
        p.update(kwargs)
        self._folder = tempfile.TemporaryDirectory(prefix="ptychostream-")  # lives as long as this
        file = Path(p.standard_file) if p.standard_file else Path(self._folder.name) / "tiff_std.h5"
        _make_standard_file(p, file)
        scan = ScanFile.read(file)
        name = str(file)
        p.intensities = Param(file=name, key=paths.DATA)
        p.positions.update(file=name, slow_key=paths.POS_Y, fast_key=paths.POS_X)
        p.mask = Param(file=name, key=paths.MASK, invert=True)
        p.framefilter = Param(file=name, key=paths.KEEP)
        p.recorded_energy.update(file=name, key=paths.ENERGY, multiplier=1e-3)
        p.recorded_distance.update(file=name, key=paths.DET_DIST)
        p.recorded_psize.update(file=name, key=paths.PIXEL)
        p.orientation = scan.upright.ptypy_orientation or None
        p.auto_center = False
        if p.shape is None:
            p.shape = (scan.square_px, scan.square_px)
            p.center = scan.square_center_px
        super().__init__(p)


def _make_standard_file(p: Any, file: Path) -> None:
    if not p.pattern:
        raise ConfigError("data.pattern is missing: the glob of the TIFF files, such as '/data/scan001_*.tif'")
    settings = CorrectionOptions(**{option: _value(p, option) for option in OPTIONS}).settings()
    field: Any = settings.profile.detector.frame_time.field if settings.profile else "timeStamp"
    sidecar = Path(p.sidecar) if p.sidecar else None
    offset = settings.row_offset if settings.readbacks is None else None
    with TiffRecording(p.pattern, sidecar, settings.match, field, offset) as recording:
        ingest(recording, file, settings, force=bool(p.standard_file))


def _name(option: str) -> str:
    return OTHER_NAMES.get(option, option)


def _value(p: Any, name: str) -> Any:
    """A parameter as the command line would have it: an enum by its word, two numbers as a text, a path as a path."""
    value = p[_name(name)]
    (kind, *_) = (
        one for one in typing.get_args(typing.get_type_hints(CorrectionOptions)[name]) if one is not type(None)
    )
    if value is None or typing.get_origin(kind) is typing.Literal or isinstance(value, typing.get_origin(kind) or kind):
        return value
    if isinstance(value, tuple | list):
        value = ",".join(str(part) for part in value)
    try:
        return kind(value)
    except ValueError as error:
        raise ConfigError(f"data.{name} = {value!r} cannot be: {error}") from error


def _registered(name: str, **defaults: str) -> type[Any]:
    return register(name)(type(name, (_TiffSidecar,), {"__doc__": _parameters(name=name, **defaults)}))


TiffSidecar = _registered("TiffSidecar")
HERMES_TIFF = _registered("HERMES_TIFF", profile="hermes")
XRNF_TIFF = _registered("XRNF_TIFF", profile="xrnf")
