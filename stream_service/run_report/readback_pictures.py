"""The readbacks of a run over time, one small picture a channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.run_report.picture import KEPT, Picture, new_figure, picture_of
from stream_service.run_report.stored_run import StoredRun
from stream_service.run_report.thinned_line import MOST_POINTS, Spans, spans
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.standard_file.schema import paths
from stream_service.text.counted import counted
from stream_service.text.printable import printable
from stream_service.text.units import unit_shown
from stream_service.text.utf8 import shown_name

MOST_CHANNELS = 40
BLOCK_UPDATES = 1 << 18
HEIGHT_IN = 2.1
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Readback:
    """The updates of a channel, thinned to what can be seen."""

    name: str
    unit: str
    n_updates: int
    since_s: Numbers
    """When, since the begin of the run."""
    low: Numbers
    high: Numbers
    """Equal to `low` where every update is there."""


def readback_pictures(run: StoredRun) -> Iterator[Picture]:
    """One of each channel that has an update. Raises `SourceError`."""
    begin_ns = run.start_ns or int(run.rows["timestamp_ns"][:1].sum())
    for name in run.channels[:MOST_CHANNELS]:
        readback = _readback(run.tree, name, begin_ns)
        if readback is not None:
            yield _picture(readback, run.duration_s)


def _readback(tree: Hdf5Tree, name: str, begin_ns: int) -> Readback | None:
    value, stamps = (tree.find(f"{paths.READBACKS}/{name}/{part}") for part in ("value", "timestamp_ns"))
    if value is None or stamps is None or not (_is_column(value) and _is_column(stamps)):
        return None
    n = min(value.rows, stamps.rows)
    if not n:
        return None
    n_parts = max(1, MOST_POINTS // 2 // -(-n // BLOCK_UPDATES))
    parts = []
    for start in range(0, n, BLOCK_UPDATES):
        stop = min(start + BLOCK_UPDATES, n)
        since_s = (stamps.read(start, stop).astype(np.int64) - begin_ns) / 1e9
        values = value.read(start, stop).astype(np.float64)
        parts.append(Spans(since_s, values, values) if n <= MOST_POINTS else spans(since_s, values, n_parts))
    at, low, high = (np.concatenate([getattr(part, each) for part in parts]) for each in ("at", "low", "high"))
    return Readback(shown_name(name), value.text("units"), n, at, low, high)


def _is_column(stored: StoredDataset) -> bool:
    return stored.is_numeric and len(stored.shape) == 1


def _picture(readback: Readback, duration_s: float) -> Picture:
    """The last update before the run holds at its begin, however old it is."""
    figure, axes = new_figure(HEIGHT_IN)
    at, low = readback.since_s, readback.low
    end_s = duration_s if np.isfinite(duration_s) else float(at[-1])
    if len(at) < readback.n_updates:
        axes.vlines(at, low, readback.high, color=KEPT, linewidth=0.8)
    else:
        axes.step(np.append(at, max(end_s, at[-1])), np.append(low, low[-1]), where="post", color=KEPT, linewidth=1.0)
        axes.plot(at, low, ".", color=KEPT, markersize=2.5)
    if end_s > 0:
        axes.set_xlim(-0.02 * end_s, 1.02 * end_s)
    axes.set_xlabel("time since the begin (s)")
    axes.set_ylabel(printable(unit_shown(readback.unit)), parse_math=False)  # a $ is a $
    axes.grid(alpha=0.3)
    updates = counted(readback.n_updates, "update")
    return picture_of(figure, f"Readback {readback.name} over time", readback.name, updates)
