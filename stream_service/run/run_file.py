"""The file of a run and what fills it, made when the first frame shows its shape and type.

The shape is taken from the frame and not from PVs: a readout ROI that was changed since the last frame would otherwise
be noticed too late. What can be checked earlier (folder, references) is checked when the run is armed.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.core.ledger import Ledger
from stream_service.core.readback import Readback
from stream_service.core.run import RunState
from stream_service.errors import ConfigError, WriteError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.kernels import (
    CorrectionError,
    Corrections,
    FlatKind,
    FrameReducer,
    Geometry,
    GeometryError,
    Grouping,
    parse_center,
)
from stream_service.run.live.file_system import swmr_problem
from stream_service.run.rows.pipeline import RowPipeline
from stream_service.settings.profile import Preprocessing, Profile, References, moving_channel
from stream_service.settings.request import ScanRequest
from stream_service.sources.tables.references import Reference, check_place, read_references
from stream_service.standard_file import ChannelColumn, FileHeader, LedgerColumns, StandardFile
from stream_service.standard_file.schema.codes import LEDGER_COUNTS

SUFFIX = "_std.h5"
SAME_EXPOSURE = 1e-3
"""Relative: times that differ by less are the same."""
COUNTS_S = 0.25
"""Between two accounts in the file while the run goes on; one costs 0.1 ms, and 6 ms in a run of a million frames."""
ABOUT_PIXELS = ("gaps", "flat_is")
"""Settings of the profile that a request may override."""
REFERENCE_ROOTS = "service.reference_roots of the profile"
RECORDED_VERSIONS = ("ptychostream", "numpy", "numba", "h5py", "p4p", "pyepics", "caproto")


@dataclass(slots=True)
class RunFile:
    """An open file, and the pipeline that fills it."""

    file: StandardFile
    pipeline: RowPipeline
    ledger: Ledger
    raw_shape: tuple[int, int]
    dtype: np.dtype[Any]
    _counted_s: float = -math.inf

    def accepts(self, pixels: np.ndarray[Any, Any]) -> bool:
        """True for a frame of the shape and type with which the run began."""
        return pixels.shape == self.raw_shape and pixels.dtype == self.dtype

    def record(self, updates: Iterable[Readback]) -> None:
        """Enter readbacks as they came."""
        for update in updates:
            self.file.add_readback(update.channel, update.value, update.timestamp_ns)

    def enter_state(self, state: RunState) -> None:
        """Let readers know where the run is, after the next flush."""
        self.file.set_state(state.value)

    def flush(self) -> None:
        """Make the rows so far visible to readers; and some times a second, the account as it stands."""
        self.pipeline.flush()
        now_s = time.monotonic()
        if now_s - self._counted_s >= COUNTS_S:
            self._counted_s = now_s
            self.file.write_counts(ledger_counts(self.ledger))

    def close(self, state: RunState, reason: str, message: str) -> None:
        """Write the last rows, the account and how the run ended, and close the file."""
        try:
            if self.file.failure is None:
                self.pipeline.flush()
            self.file.write_ledger(ledger_columns(self.ledger))
            energy_eV, exposure_s = self.pipeline.energies.energy_eV, self.pipeline.exposure_s
            self.file.set_scalars(
                energy_eV=energy_eV if math.isfinite(energy_eV) else None,
                exposure_s=exposure_s if math.isfinite(exposure_s) else None,
            )
            self.file.set_state(state.value, str(reason), time.time_ns(), message)
            self.file.close()
        except WriteError:
            if state is RunState.FAILED:  # there is no second attempt
                self.file.close()
            raise


def ledger_columns(ledger: Ledger) -> LedgerColumns:
    """The account as the file holds it."""
    epochs, unique_ids, fates, n_received = ledger.columns()
    return LedgerColumns(epochs, unique_ids, fates, n_received, ledger_counts(ledger))


def ledger_counts(ledger: Ledger) -> dict[str, int]:
    """The numbers of the account that the file holds."""
    counts = asdict(ledger.account())
    return {name: counts[name] for name in LEDGER_COUNTS}


def file_path(profile: Profile, request: ScanRequest) -> Path:
    """Where the standard file of a request goes."""
    return profile.service.data_root / request.path / f"{request.scan_id}{SUFFIX}"


def check_file_path(path: Path) -> None:
    """Make the folder and see that a new file can be written there; raises `ConfigError` or `WriteError`."""
    try:
        if path.exists() or os.path.lexists(path):  # a link to nothing has the name, too
            raise ConfigError(f"{path} exists already: choose another scan_id or path; a file is never overwritten")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise WriteError(f"no permission to write into {path.parent}: check its owner and the service's user")
    if problem := swmr_problem(path.parent):
        raise WriteError(problem)


def with_references(profile: Profile, request: ScanRequest) -> Profile:
    """The profile with what a scan has of its own: its references, and what is said of their pixels."""
    about_pixels = {name: value for name in ABOUT_PIXELS if (value := getattr(request, name)) is not None}
    if about_pixels:
        preprocessing = profile.preprocessing.model_copy(update=about_pixels)
        profile = profile.model_copy(update={"preprocessing": preprocessing})
    if request.references is None:
        return profile
    root = profile.service.data_root
    own = {kind: str(root / name) for kind, name in request.references.model_dump(exclude_none=True).items()}
    return profile.model_copy(update={"references": profile.references.model_copy(update=own)})


def check_places(profile: Profile, request: ScanRequest) -> None:
    """Raise `ConfigError` for a reference of a request that lies where no request may read.

    `profile` names the references of this request already; its own are the operator's, and may be anywhere.
    """
    requested = request.references.model_dump(exclude_none=True) if request.references else {}
    for kind in requested:
        location = profile.references.model_dump()[kind]
        check_place(location, kind, (profile.service.data_root, *profile.service.reference_roots))


def load_references(profile: Profile) -> dict[str, Reference]:
    """The references that a profile names, by kind; raises `ConfigError` naming the file that is wrong."""
    also = AlsoBelow(profile.service.reference_roots, REFERENCE_ROOTS)
    return read_references({kind: name for kind, name in profile.references.model_dump().items() if name}, also)


def check_exposures(
    references: References, found: Mapping[str, Reference], exposure_s: float, flat_is: FlatKind = "raw"
) -> None:
    """Raise `ConfigError` for a dark or flat that says it was taken with another exposure time than this (seconds).

    A flat that is normalised fits every exposure time.
    """
    for kind, location in (("dark", references.dark), ("flat", references.flat if flat_is == "raw" else None)):
        taken_s = found[kind].exposure_s if location else math.nan
        if math.isfinite(taken_s) and not math.isclose(taken_s, exposure_s, rel_tol=SAME_EXPOSURE):
            raise ConfigError(
                f"the {kind} {location} was taken with {taken_s:g} s, the scan takes {exposure_s:g} s: "
                "give it one of its own exposure time (the plan dark_flat takes them)"
            )


def images_of(references: Mapping[str, Reference]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays alone."""
    return {kind: reference.image for kind, reference in references.items()}


def build_reducer(
    preprocessing: Preprocessing, corrections: Corrections, raw_shape: tuple[int, int], frames_per_row: int, dtype: Any
) -> FrameReducer:
    """The reducer for frames of this shape and type, compiled; raises `ConfigError` when the settings do not fit."""
    try:
        geometry = Geometry(
            raw_shape=raw_shape,
            roi_shape=preprocessing.roi,
            roi_center=parse_center(preprocessing.roi_center, raw_shape) if preprocessing.roi_center else None,
            bin=preprocessing.bin,
            rotate=preprocessing.rotate,
            flip=preprocessing.flip,
        )
        reducer = FrameReducer(geometry, corrections, Grouping(preprocessing.grouping))
        reducer.warm_up(np.dtype(dtype), frames_per_row)
    except (GeometryError, CorrectionError) as error:
        raise ConfigError(f"frames of {raw_shape[0]} rows and {raw_shape[1]} columns: {error}") from error
    return reducer


def warm_up(preprocessing: Preprocessing, frames_per_row: int) -> FrameReducer:
    """Compile the kernel for a detector that has sent no frame yet, for the pixel type that most have; for trials."""
    reducer = FrameReducer(Geometry(raw_shape=(8, 8)), Corrections(), Grouping(preprocessing.grouping))
    reducer.warm_up(np.dtype(np.uint16), frames_per_row)
    return reducer


def rows_and_frames_per_row(preprocessing: Preprocessing, request: ScanRequest) -> tuple[int | None, int]:
    """Rows that may come (None: not known) and frames in each."""
    frames_per_row = 1 if preprocessing.grouping == "none" else request.frames_per_position
    planned = request.n_planned_frames
    if planned is None:
        return None, frames_per_row
    return (planned + request.extra_frames) // frames_per_row, frames_per_row


def open_run_file(
    path: Path,
    profile: Profile,
    request: ScanRequest,
    reducer: FrameReducer,
    ledger: Ledger,
    *,
    dtype: Any,
    energy_eV: float,
    exposure_s: float,
    notes: tuple[str, ...] = (),
) -> RunFile:
    """Create the standard file of a live run, readable from this moment on; `notes` are of its references."""
    preprocessing = profile.preprocessing
    n_rows, frames_per_row = rows_and_frames_per_row(preprocessing, request)
    planned_m = np.column_stack([request.planned_x_m, request.planned_y_m]) if request.planned_x_m else None
    geometry = reducer.geometry
    header = FileHeader(
        scan_id=request.scan_id,
        frame_shape=reducer.out_shape,
        energy_eV=energy_eV,
        det_dist_m=profile.detector.distance_m,
        pixel_m=profile.detector.pixel_m * preprocessing.bin,
        exposure_s=exposure_s * (frames_per_row if preprocessing.grouping == "sum" else 1),
        start_timestamp_ns=time.time_ns(),
        frames_per_row=frames_per_row,
        n_rows_expected=n_rows,
        mask=reducer.mask,
        dark=reducer.dark_applied,
        flat=reducer.flat_applied,
        planned_m=planned_m,
        channels=readback_columns(profile),
        settings={
            "profile": profile.model_dump(mode="json"),
            "request": request.model_dump(mode="json", exclude={"planned_x_m", "planned_y_m"}),  # see /entry/planned
        },
        versions=versions(),
        optics=profile.optics.model_dump(mode="json"),
        sample=request.sample,
        saturation_value=preprocessing.sat,
        center=geometry.center,
        axis_signs=profile.detector.axis_signs,
    )
    file = StandardFile.create(path, header)
    pipeline = RowPipeline(
        file,
        reducer,
        ledger,
        profile.to_stage_map(),
        frames_per_row,
        preprocessing.sat_fraction,
        allow_spread=preprocessing.allow_spread,
        gaps=preprocessing.gaps,
        about_references=notes,
    )
    return RunFile(file, pipeline, ledger, geometry.raw_shape, np.dtype(dtype))


def readback_columns(profile: Profile) -> tuple[ChannelColumn, ...]:
    """The channels whose history is recorded: every PV of the profile, and the motion of its axes."""
    columns = []
    for name, channel in profile.channels.items():
        if channel.pv:
            columns.append(ChannelColumn(name, channel.unit))
        if channel.moving:
            columns.append(ChannelColumn(moving_channel(name), "1 = moving"))
    return tuple(columns)


@cache
def versions() -> dict[str, str]:
    """The software that made a file."""
    return {name: version(name) for name in RECORDED_VERSIONS} | {"python": platform.python_version()}
