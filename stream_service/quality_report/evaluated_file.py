"""A file that is evaluated: its rows in blocks, with what is measured on their pixels, stored there or measured now.

A standard file has the features of its rows, so that no pixel is read. Other files (CXI, datasets that the operator
names), and another part of the frame or other cells than those stored, are measured on the stored frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import Frame, UnreadableFrame
from stream_service.core.row import (
    CELLS_SIDE,
    FEATURES,
    FEATURES_DTYPE,
    MAX_BYTES,
    MAX_ROWS,
    RowBlock,
    blank_features,
    forget_wrong_positions,
    row_dtype,
)
from stream_service.errors import SourceError
from stream_service.kernels import measure_rows
from stream_service.quality_report.stored_conditions import stored_conditions
from stream_service.quality_report.view import View
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.recording import Hdf5Recording
from stream_service.sources.tables.recorded_units import text_of
from stream_service.standard_file.read.stored_settings import StoredSettings
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.row_columns import PLACES

CONDITIONS = tuple(f"{paths.FRAMES}/{name}" for name in ("ring_current_mA", "shutter_open"))
STORED_ROWS = 4096
"""Read at once where features are stored: 4 MB of cells."""

Step = Callable[[int], None]
"""Told how many rows are done."""
Rows = np.ndarray[Any, Any]
Cells = npt.NDArray[np.float32] | None
"""(n, side, side) of another side than those of the rows."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row whose pixels cannot be read, and why."""

    row: int
    reason: str


class EvaluatedFile:
    """The rows of an open recording, seen through a view."""

    def __init__(self, recording: Hdf5Recording, view: View) -> None:
        self.recording = recording
        self.view = view
        self.n_rows = recording.n_frames
        mask = recording.references.get("mask")
        self.good = np.ones(recording.frame_shape, bool) if mask is None else mask == 0
        """(y, x) of the stored frame."""
        ids = self._column(paths.UNIQUE_ID)
        self._frames_per_row = ids.shape[1] if ids is not None and len(ids.shape) == 2 else 1
        self._columns = self._columns_of_rows()
        self._tags = self._column(paths.TAGS, ())
        settings = recording.stored(paths.SETTINGS) if recording.is_standard else None
        self.made_with = StoredSettings.read("" if settings is None else text_of(settings.whole()[()]))
        self._has_conditions = all(path in self._columns for path in CONDITIONS)
        reads_updates = recording.is_standard and not self._has_conditions
        self._conditions = stored_conditions(recording, self.made_with, reads_updates=reads_updates)
        self.reads_pixels = not (view.is_as_stored(recording.frame_shape) and self._has_features)
        self.unreadable: list[Unreadable] = []
        """Known once all rows were read."""
        self._rules = {rule.name: rule for rule in recording.rules}
        saturation = None if recording.is_standard else recording.stored(paths.SATURATION_VALUE)
        self._saturation = None if saturation is None or not saturation.is_numeric else saturation.first_number
        if not self.good.any():
            self.good[:] = True

    def _columns_of_rows(self) -> dict[str, StoredDataset]:
        row = row_dtype(self._frames_per_row)
        shapes = {path: (FEATURES_DTYPE if column in FEATURES else row)[column.name].shape for path, column in PLACES}
        return {path: found for path, shape in shapes.items() if (found := self._column(path, shape)) is not None}

    def _column(self, path: str, shape: tuple[int, ...] | None = None) -> StoredDataset | None:
        """A column of the rows, if the file has it; of values of this shape, if that is given."""
        if not self.recording.is_standard:
            return None
        found = self.recording.stored(path)
        if found is None or not found.is_numeric or found.rows < self.n_rows:
            return None
        if shape is not None and found.shape[1:] != shape:
            raise SourceError(f"{found.where} is {found.shape} {found.dtype}; it must be {(self.n_rows, *shape)}")
        return found

    @property
    def _has_features(self) -> bool:
        return all(f"{paths.FEATURES}/{column.name}" in self._columns for column in FEATURES)

    @property
    def has_positions(self) -> bool:
        """False for a file that does not say where the beam was."""
        return {"x", "y"} <= set(self._rules)

    @property
    def axis_signs(self) -> tuple[int, int]:
        """+1 where rows (columns) of a frame grow with +y (+x) of the beam on the sample, also where nobody says it."""
        return self.recording.axis_signs or (1, 1)

    def blocks(self, step: Step = lambda _: None) -> Iterator[tuple[Rows, Cells]]:
        """All rows in their order, fields of `row_dtype`."""
        done = 0
        for rows, cells in self._measured() if self.reads_pixels else self._stored():
            forget_wrong_positions(rows)
            yield rows, cells
            done += len(rows)
            step(done)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the file, and of limits that its rows are not held to; complete once all were read."""
        return *self.recording.notes, *self._conditions.notes()

    @property
    def unknown_conditions(self) -> tuple[str, ...]:
        """Of ring current and shutter, what is known of no row, so that none is rejected for it; likewise."""
        return self._conditions.unknown

    def pixels(self, row: int) -> npt.NDArray[np.generic] | None:
        """The stored frame of a row, (y, x); None if it cannot be read."""
        frame = self.recording.frame(row)
        return None if isinstance(frame, UnreadableFrame) else frame.pixels

    def _stored(self) -> Iterator[tuple[Rows, Cells]]:
        for start in range(0, self.n_rows, STORED_ROWS):
            yield self._read_columns(start, min(start + STORED_ROWS, self.n_rows)), None

    def _measured(self) -> Iterator[tuple[Rows, Cells]]:
        frames, is_standard = iter(self.recording.frames()), self.recording.is_standard
        frame_bytes = 4 * math.prod(self.view.shape)
        n_most = max(1, min(MAX_ROWS, MAX_BYTES // frame_bytes))
        side = self.view.embed_side
        pixels, good = np.empty((n_most, *self.view.shape), np.float32), self.view.mask(self.good)
        for start in range(0, self.n_rows, n_most):
            stop = min(start + n_most, self.n_rows)
            rows = self._read_columns(start, stop)
            lost = []
            for place, frame in enumerate(islice(frames, stop - start)):
                if isinstance(frame, UnreadableFrame):
                    self.unreadable.append(Unreadable(start + place, frame.reason))
                    lost.append(place)
                    pixels[place] = math.nan
                else:
                    self.view.frame_into(frame.pixels, self.good, pixels[place])
                if not is_standard:
                    self._enter(frame, rows[place])
            cells = None if side == CELLS_SIDE else np.empty((stop - start, side, side), np.float32)
            measure_rows(pixels[: stop - start], good, rows["features"], cells)
            rows["features"][lost] = blank_features()
            yield rows, cells

    def _read_columns(self, start: int, stop: int) -> Rows:
        rows, _ = RowBlock((1, 1), self._frames_per_row, stop - start).next_rows(stop - start)
        rows["keep"] = 1
        for path, column in PLACES:
            if (stored := self._columns.get(path)) is not None:
                values = stored.read(start, stop)
                with np.errstate(invalid="ignore", over="ignore"):  # numbers of a damaged file
                    (rows["features"] if column in FEATURES else rows)[column.name] = values
        if self._has_conditions:
            self._conditions.see(rows)
        else:
            self._conditions.fill(rows)
        if self._tags is not None:
            rows["keep"][self._tags.read(start, stop) != 0] = 1  # left out by an earlier evaluation alone
        return rows

    def _enter(self, frame: Frame, row: np.void) -> None:
        """What was recorded with a frame of others: position and energy, and the saturation of pixels still raw."""
        for name, field in (("x", "x_m"), ("y", "y_m"), ("energy", "energy_eV")):
            rule = self._rules.get(name)
            value = None if rule is None else frame.attributes.get(rule.attribute)
            if rule is not None and isinstance(value, int | float):
                row[field] = value * rule.scale
        if self._saturation is not None:
            row["features"]["n_saturated"] = np.count_nonzero(
                (np.asarray(frame.pixels, np.float64) >= self._saturation) & self.good
            )
