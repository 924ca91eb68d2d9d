"""Offline: the recorded exposures of a file through the same pipeline as live ones, into the same standard file.

The output gets its name only when it is whole; until then it has a temporary name beside it, which is removed if
anything goes wrong. Memory is bounded by one block of frames, whatever the size of the file.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.config import Preprocessing
from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Account, Ledger
from stream_service.core.run import EndReason, RunState
from stream_service.core.stage_map import StageMap
from stream_service.errors import ConfigError, SourceError
from stream_service.kernels import Geometry
from stream_service.service.pipeline import RowPipeline
from stream_service.service.run_file import RunFile, build_reducer, corrections_from, versions
from stream_service.sources.hdf5_recording import Hdf5Recording
from stream_service.writer import FileHeader, StandardFile

ALREADY_ON_SAMPLE = StageMap(1.0, 0.0, 0.0, 1.0)
"""Recorded positions are those of the beam on the sample."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers that a recording may lack, or that the operator knows better; None = as recorded."""

    energy_eV: float | None = None
    det_dist_m: float | None = None
    pixel_m: float | None = None


def ingest_hdf5(
    source: Path,
    output: Path,
    preprocessing: Preprocessing,
    references: dict[str, np.ndarray[Any, Any]],
    facts: Facts,
    *,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Account:
    """Make a standard file of a recorded one. `references` replace those in the recording.

    Raises `SourceError` (the input), `ConfigError` (the settings), `WriteError` (the output); no half file is left.
    """
    if output.exists() and not force:
        raise ConfigError(f"{output} exists already: choose another --output, or replace it with --force")
    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
    try:
        with Hdf5Recording(source) as recording:
            account = _write(recording, partial, preprocessing, references, facts, output.stem, on_progress)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return account


def _write(
    recording: Hdf5Recording,
    path: Path,
    preprocessing: Preprocessing,
    references: dict[str, np.ndarray[Any, Any]],
    facts: Facts,
    scan_id: str,
    on_progress: Callable[[int, int], None],
) -> Account:
    header = _header(recording, preprocessing, facts, scan_id)
    recorded = {**recording.references, **({} if recording.mask is None else {"mask": recording.mask != 0})}
    corrections = corrections_from(preprocessing, {**recorded, **references})
    frames_per_row = header.frames_per_row
    reducer = build_reducer(preprocessing, corrections, recording.frame_shape, frames_per_row, recording.dtype)
    ledger = Ledger(0, recording.n_frames)
    header = replace(
        header,
        frame_shape=reducer.out_shape,
        mask=reducer.mask,
        dark=reducer.dark_applied,
        flat=reducer.flat_applied,
        center=reducer.geometry.center,
        axis_signs=turned_signs(recording.axis_signs, reducer.geometry),
    )
    file = StandardFile.create(path, header, swmr=False)
    pipeline = RowPipeline(file, reducer, ledger, ALREADY_ON_SAMPLE, frames_per_row, preprocessing.sat_fraction)
    out = RunFile(file, pipeline, recording.frame_shape, recording.dtype)
    try:
        for exposure in _exposures(recording, ledger, facts):
            pipeline.add(exposure)
            on_progress(exposure.ordinal + 1, recording.n_frames)
        pipeline.finish()
        account = ledger.close()
        out.close(ledger, RunState.COMPLETE if account.is_complete else RunState.INCOMPLETE, EndReason.ALL_IN)
    finally:
        file.close()
    return account


def _exposures(recording: Hdf5Recording, ledger: Ledger, facts: Facts) -> Iterator[Exposure]:
    """The recording's frames as exposures; a frame's place in the file is its unique_id."""
    n = recording.n_frames
    energy = np.broadcast_to(recording.energy_eV if facts.energy_eV is None else facts.energy_eV, n)
    exposure_s = np.broadcast_to(recording.exposure_s, n)
    for start, block in recording.blocks():
        for index, pixels in enumerate(block, start):
            x_m, y_m = recording.positions_m[index]
            receipt = ledger.receive(index, index)
            values = {"x": float(x_m), "y": float(y_m), "energy": float(energy[index])}
            frame = Frame(index, 0, pixels, {})
            yield Exposure(frame, receipt.id, receipt.ordinal, float(exposure_s[index]), values)


def _header(recording: Hdf5Recording, preprocessing: Preprocessing, facts: Facts, scan_id: str) -> FileHeader:
    energy_eV = facts.energy_eV or float(np.mean(recording.energy_eV))
    det_dist_m = facts.det_dist_m or recording.det_dist_m
    pixel_m = facts.pixel_m or recording.pixel_m
    for name, value in (("energy-eV", energy_eV), ("det-dist-m", det_dist_m), ("pixel-m", pixel_m)):
        if not math.isfinite(value):
            raise SourceError(f"{recording.path} ({recording.layout}) does not say it: give --{name}")
    frames_per_row = 1 if preprocessing.grouping == "none" else preprocessing.frames_per_position
    return FileHeader(
        scan_id=scan_id,
        frame_shape=recording.frame_shape,
        energy_eV=energy_eV,
        det_dist_m=det_dist_m,
        pixel_m=pixel_m * preprocessing.bin,
        exposure_s=float(np.mean(recording.exposure_s)),
        start_timestamp_ns=time.time_ns(),
        frames_per_row=frames_per_row,
        n_rows_expected=recording.n_frames // frames_per_row,
        settings={
            "ingest": {"source": recording.path.name, "layout": recording.layout},
            "preprocessing": preprocessing.model_dump(mode="json"),
        },
        versions=versions(),
        saturation_value=preprocessing.sat,
    )


def turned_signs(signs: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """The signs of the stored frame's axes when those of the raw frame's are `signs`."""
    rows, columns = (
        -sign if is_reversed else sign for sign, is_reversed in zip(signs, geometry.is_reversed, strict=True)
    )
    return (columns, rows) if geometry.transposes else (rows, columns)
