"""Rows do not depend on how the exposures come: one by one or many at once, they are the same, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.core.partition import ByIndex
from stream_service.core.row import RowBlock, row_dtype
from stream_service.core.stage_map import StageMap
from stream_service.kernels import Corrections, FrameReducer, Geometry, Grouping
from stream_service.qc.scan_values import ScanTable
from stream_service.run.rows.exposure_columns import ExposureColumns
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.pipeline import RowPipeline

N, SHAPE, MARKER = 150, (6, 8), 2**32 - 1
"""More than two blocks of rows."""


@dataclass
class Stored:
    """What a file would hold."""

    name = "in memory"

    rows: list[np.ndarray[Any, Any]] = field(default_factory=list)
    pixels: list[np.ndarray[Any, Any]] = field(default_factory=list)
    mask: np.ndarray[Any, Any] | None = None

    def append(self, block: RowBlock) -> None:
        self.rows.append(block.rows.copy())
        self.pixels.append(block.pixels.copy())

    def write_mask(self, mask: np.ndarray[Any, Any], flags: np.ndarray[Any, Any]) -> None:
        self.mask = flags

    def write_applied(self, *_: object) -> None: ...

    def flush(self) -> None: ...


def exposures_of(ledger: Ledger, width_eV: float = 1.0) -> list[Exposure]:
    """A run in which much is wrong: gaps, lost pixels, saturation, flags, unknown places, several energies."""
    rng = np.random.default_rng(3)
    frames = rng.poisson(20, (N, *SHAPE)).astype(np.uint32)
    frames[:, 0, 0] = MARKER
    frames[90:, 0, 1] = 65
    frames[20, 2, 3] = frames[75, 4, 4] = MARKER
    frames[33] = frames[101] = MARKER
    values = {"x": rng.normal(0, 1e-6, N), "y": rng.normal(0, 1e-6, N), "energy": 700 + rng.normal(0, width_eV, N)}
    for name in values:
        values[name][rng.integers(0, N, 3)] = np.nan
    values["x"][40], values["y"][41], values["energy"][42:44] = (
        np.inf,
        -np.inf,
        (np.inf, -1) if width_eV > 0.5 else 700.0,
    )
    exposures = []
    for n in range(N):
        if n % 50 == 7:  # never came: its group does not fill
            continue
        receipt = ledger.receive(n, n)
        flags, of_position = ((Flag.STALE, Flag.NONE), (Flag.NO_TIME, Flag.NO_TIME), (Flag.NONE, Flag.NONE))[n % 3]
        some = {name: float(column[n]) for name, column in values.items()}
        frame = Frame(n, n, frames[n], {})
        worth = (1e-9 * n, 0.05) if n % 5 else (np.nan, np.nan)
        exposures.append(Exposure(frame, receipt.id, receipt.ordinal, 0.1 + n % 2, some, flags, of_position, *worth))
    return exposures


def stored(cuts: list[int], grouping: str, frames_per_row: int) -> list[Any]:
    """All that a run makes of these exposures, cut into lists of so many."""
    file: Any = Stored()
    ledger = Ledger(0, N)
    reducer = FrameReducer(
        Geometry(SHAPE),
        Corrections(saturation_level=60.0),
        Grouping(grouping),
        np.uint32,
    )
    thread = FileThread(file)
    pipeline = RowPipeline(thread, reducer, ledger, StageMap(), ByIndex(frames_per_row), rejected={0, 5, 64, 99})
    left, turn = exposures_of(ledger, 1.0 if frames_per_row == 2 else 0.1), 0
    while left:
        n = cuts[turn % len(cuts)]
        pipeline.add(left[:n])
        left, turn = left[n:], turn + 1
    pipeline.finish()
    thread.end()
    return [
        np.concatenate(file.rows).tobytes(),
        np.concatenate(file.pixels).tobytes(),
        file.mask.tobytes(),
        list(pipeline.notes()),
        pipeline.flags.sentence,
        pipeline.energies.energy_eV,
        pipeline.exposure_s,
        [column.tolist() for column in ledger.columns()],
        ledger.account(),
    ]


@pytest.mark.parametrize(
    ("grouping", "frames_per_row"), [("none", 1), ("sum", 2), ("mean", 3), ("first", 3), ("best", 2)]
)
@settings(max_examples=settings.default.max_examples // 10)  # each is a run
@given(cuts=st.lists(st.integers(1, N), min_size=1, max_size=8))
def test_rows_are_the_same_however_the_exposures_are_cut(grouping: str, frames_per_row: int, cuts: list[int]) -> None:
    one_by_one = stored([1], grouping, frames_per_row)
    assert stored(cuts, grouping, frames_per_row) == one_by_one
    assert len(one_by_one[3]) > 3, "much is wrong, and told"


def test_row_has_the_largest_uncertainty_of_its_exposures_and_none_that_is_known_if_one_is_not() -> None:
    columns = ExposureColumns([exposures_of(Ledger(0, N))[n : n + 2] for n in (1, 4, 8)])
    turned = columns.uncertainty_m(StageMap(0.6, -0.8, 0.8, 0.6))
    np.testing.assert_allclose(columns.uncertainty_m(StageMap()), [2e-9, np.nan, np.nan])
    np.testing.assert_allclose(turned, [1.4 * 2e-9, np.nan, np.nan])
    assert columns.bracket_s().tolist() == [0.05, 0.05, 0.05]


def test_frames_are_stored_once_their_block_is_flushed() -> None:
    ledger = Ledger(0, N)
    file: Any = Stored()
    thread = FileThread(file)
    pipeline = RowPipeline(thread, FrameReducer(Geometry(SHAPE), dtype=np.uint32), ledger, StageMap(), ByIndex(1))
    pipeline.add(exposures_of(ledger)[:10])
    assert ledger.account().stored == 0
    pipeline.drain()
    thread.end()
    assert ledger.account().stored == 10
    assert FrameStatus(int(ledger.columns()[2][7])) is FrameStatus.PENDING, "it never came"


def test_sinks_have_the_rows_as_soon_as_they_are_in_the_file_and_not_with_the_next_flush() -> None:
    ledger = Ledger(0, N)
    file: Any = Stored()
    thread = FileThread(file)
    pipeline = RowPipeline(
        thread,
        FrameReducer(Geometry(SHAPE), dtype=np.uint32),
        ledger,
        StageMap(),
        ByIndex(1),
        sinks=[rows := ScanTable()],
    )
    pipeline.add(exposures_of(ledger)[:10])
    pipeline.flush()
    thread.call(lambda file: None)  # what was posted is done
    assert ledger.account().stored == 0
    pipeline.take_stored()
    thread.end()
    assert ledger.account().stored == 10
    assert len(rows.rows()) == 10


@pytest.mark.parametrize("k", [1, 3])
def test_rows_that_are_finished_enter_the_file_as_they_are(k: int) -> None:
    n = N - N % k
    rows = np.zeros(n // k, row_dtype(k))
    rows["replaces"] = -1
    rows["unique_id"] = np.arange(n).reshape(-1, k)
    rows["status"] = FrameStatus.STORED
    rows["status"][::2] = FrameStatus.BACKFILLED
    pixels = np.random.default_rng(1).random((len(rows), *SHAPE), np.float32)
    file: Any = Stored()
    ledger, thread = Ledger(0, n), FileThread(file)
    for unique_id in range(n):
        ledger.receive(unique_id, unique_id)
    pipeline = RowPipeline(thread, FrameReducer(Geometry(SHAPE), dtype=np.uint32), ledger, StageMap(), ByIndex(k))
    pipeline.add_rows(rows, pixels, rows["unique_id"])
    pipeline.finish()
    thread.end()
    assert np.concatenate(file.rows).tobytes() == rows.tobytes()
    np.testing.assert_array_equal(np.concatenate(file.pixels), pixels)
    account = ledger.close()
    n_late = k * len(rows[::2])
    assert (account.backfilled, account.stored) == (n_late, n - n_late)
