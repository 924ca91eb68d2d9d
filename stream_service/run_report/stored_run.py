"""A run as its standard file tells of it, in whatever state that is: complete, left by its writer, still growing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.run_report.row_table import RowTable
from stream_service.run_report.stored_ledger import StoredLedger
from stream_service.sources.hdf5.cxi import axis_signs_of
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.tables.recorded_units import text_of
from stream_service.standard_file.read.announced_rows import StandardRows, standard_rows
from stream_service.standard_file.read.stored_settings import StoredSettings
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import group_at, names_in

MOST_PLANNED = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class StoredRun:
    """Everything about a run but its pixels and readbacks, which are read when they are asked for."""

    tree: Hdf5Tree
    announced: StandardRows
    scan_id: str
    sample: str
    end_reason: str
    message: str
    start_ns: int
    """Since 1970 UTC; 0 where nobody knows."""
    end_ns: int
    frame_shape: tuple[int, int]
    """(ny, nx) of a stored frame."""
    energy_eV: float
    """This and the next three are NaN where the file does not say."""
    det_dist_m: float
    pixel_m: float
    exposure_s: float
    rows: RowTable
    ledger: StoredLedger
    planned_m: npt.NDArray[np.float64]
    """(P, 2) planned positions, x and y; P = 0 where the plan did not say."""
    axis_signs: tuple[int, int]
    channels: tuple[str, ...]
    """Readbacks that were recorded, those that tell of motion last."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """As `/entry/process/settings` has them; empty where that cannot be read."""
    versions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.tree.path

    @property
    def state(self) -> str:
        return self.announced.end.state or "UNKNOWN"

    @property
    def has_ended(self) -> bool:
        """False for a file that grows, and for one whose writer died: the file does not tell which."""
        return self.announced.is_closed and self.announced.end.has_ended

    @property
    def duration_s(self) -> float:
        """From start to end; NaN where one of them is not known."""
        return (self.end_ns - self.start_ns) / 1e9 if 0 < self.start_ns < self.end_ns else math.nan

    @property
    def n_positions_planned(self) -> int:
        """0 where nobody knows."""
        asked = self.asked("n_positions")
        return len(self.planned_m) or (asked if isinstance(asked, int) and asked > 0 else 0)

    def asked(self, name: str) -> Any:
        """What was asked for by the plan; None if nothing was."""
        request = self.settings.get("request")
        return request.get(name) if isinstance(request, dict) else None

    @property
    def beamline(self) -> str:
        """Its name in the profile; empty if there is none."""
        profile = self.settings.get("profile")
        name = profile.get("beamline") if isinstance(profile, dict) else None
        return name if isinstance(name, str) else ""


@contextmanager
def open_run(path: Path, also: AlsoBelow = NOWHERE_ELSE) -> Iterator[StoredRun]:
    """The run of a standard file, which stays open as long as the block lasts. Raises `SourceError`."""
    opened = open_hdf5(path, also)
    with opened.file as file:
        if not file.is_standard:
            raise SourceError(
                f"{path} is no standard file, of which alone a report is made: make one of it with `ptychostream "
                f"ingest hdf5 {path}`, or see its bad frames with `ptychostream evaluate {path}`"
            )
        announced = standard_rows(file)
        yield _read(file, Hdf5Tree(file, path), announced)


def _read(file: BoundedFile, tree: Hdf5Tree, announced: StandardRows) -> StoredRun:
    settings = _text(tree, paths.SETTINGS)
    threshold = StoredSettings.read(settings).quality().threshold
    ny, nx = tree.needed(paths.DATA).shape[1:]
    return StoredRun(
        tree,
        announced,
        scan_id=_text(tree, paths.SCAN_ID),
        sample=_text(tree, f"{paths.SAMPLE}/name"),
        end_reason=_text(tree, paths.END_REASON),
        message=_text(tree, paths.MESSAGE),
        start_ns=_time_ns(tree, paths.START_TIMESTAMP),
        end_ns=_time_ns(tree, paths.END_TIMESTAMP),
        frame_shape=(ny, nx),
        energy_eV=_number(tree, paths.ENERGY),
        det_dist_m=_number(tree, paths.DET_DIST),
        pixel_m=_number(tree, paths.PIXEL),
        exposure_s=_number(tree, paths.EXPOSURE),
        rows=RowTable(tree, announced.n_rows, threshold),
        ledger=StoredLedger.read(tree),
        planned_m=_planned_m(tree),
        axis_signs=axis_signs_of(tree) or (1, 1),
        channels=_channels(file),
        settings=_document(settings),
        versions=_document(_text(tree, paths.VERSIONS)),
    )


def _channels(file: BoundedFile) -> tuple[str, ...]:
    group = group_at(file, paths.READBACKS)
    return () if group is None else tuple(sorted(names_in(group), key=lambda name: (name.endswith("_moving"), name)))


def _one(tree: Hdf5Tree, path: str) -> StoredDataset | None:
    """A dataset of one value."""
    found = tree.find(path)
    return found if found is not None and math.prod(found.shape) == 1 else None


def _text(tree: Hdf5Tree, path: str) -> str:
    found = _one(tree, path)
    return "" if found is None or found.dtype.kind not in "SO" else text_of(found.whole().reshape(-1)[0])


def _number(tree: Hdf5Tree, path: str) -> float:
    found = _one(tree, path)
    return float(found.whole().reshape(-1)[0]) if found is not None and found.is_numeric else math.nan


def _time_ns(tree: Hdf5Tree, path: str) -> int:
    """A float would cost 128 ns."""
    found = _one(tree, path)
    return int(found.whole().reshape(-1)[0]) if found is not None and found.dtype.kind in "iu" else 0


def _planned_m(tree: Hdf5Tree) -> npt.NDArray[np.float64]:
    axes = [tree.find(path) for path in (paths.PLANNED_X, paths.PLANNED_Y)]
    known = [axis for axis in axes if axis is not None and axis.is_numeric and len(axis.shape) == 1]
    n = min((axis.rows for axis in known), default=0)
    if len(known) < len(axes) or n > MOST_PLANNED:
        return np.empty((0, 2))
    return np.column_stack([axis.read(0, n) for axis in known]).astype(np.float64)


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
