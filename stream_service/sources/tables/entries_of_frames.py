"""Logs by time that were written with the frames: one entry for each, as by a scan that reads its axes at each point.

Such an entry says where the axes were when they were read, and nothing of how they came there: a scan that stops at
each point looks like one that moves on. Between its entries nothing is interpolated, and nothing is at rest. If each
is the position at which its frame was taken, the operator says so (`--match order`), and entries become rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stream_service.sources.tables.recorded_readbacks import NEEDED, PAIRED, FrameRows, RecordedReadbacks
from stream_service.sources.tables.sidecar_matching import Rows
from stream_service.text.counted import counted

Ints = npt.NDArray[np.int64]
SAME_STAMP_NS = 1_000_000
"""Stamps that went through a text in milliseconds, or a float of seconds, differ by less,"""
SAME_STAMP_SHARE = 1 / 20
"""or by less than this share of the time between two frames, where these come fast."""
OF_ENTRIES, OF_FRAMES = 0.9, 0.5
"""Shares that have a counterpart, of entries and of frames: some of either may be lost."""


def is_stamped_as_frames(entries_ns: Ints, frames_ns: Ints) -> bool:
    """True if the entries of a log have the stamps of frames; both in nanoseconds of the same clock."""
    if len(entries_ns) < 2 or len(frames_ns) < 2:
        return False
    frames_ns = np.sort(frames_ns)
    period_ns = float(np.median(np.diff(frames_ns)))
    place = np.searchsorted(frames_ns, entries_ns)
    after, before = np.minimum(place, len(frames_ns) - 1), np.maximum(place - 1, 0)
    apart_ns = np.minimum(np.abs(frames_ns[after] - entries_ns), np.abs(entries_ns - frames_ns[before]))
    n_alike = int(np.count_nonzero(apart_ns <= min(SAME_STAMP_NS, period_ns * SAME_STAMP_SHARE)))
    return n_alike >= OF_ENTRIES * len(entries_ns) and n_alike >= OF_FRAMES * len(frames_ns)


def entries_as_rows(readbacks: RecordedReadbacks) -> RecordedReadbacks:
    """The n-th entry as the row of the n-th frame; as it is, with a note, where x and y have no entries in common."""
    histories = readbacks.histories
    stamps_ns = histories["x"].timestamps_ns
    of_frames = [
        name for name in PAIRED if name in histories and np.array_equal(histories[name].timestamps_ns, stamps_ns)
    ]
    if not set(NEEDED) <= set(of_frames):
        numbers = " and ".join(
            f"{counted(len(histories[name].values), 'entry', 'entries')} of {name}" for name in NEEDED
        )
        note = (
            f"{readbacks.path} is paired by time, and not by --match order: it has {numbers}, which are not stamped "
            "alike, so that they are no rows"
        )
        return replace(readbacks, notes=(*readbacks.notes, note))
    columns = {name: histories[name].values * histories[name].scale for name in of_frames}
    return replace(
        readbacks,
        histories={name: history for name, history in histories.items() if name not in of_frames},
        rows=FrameRows(Rows(len(stamps_ns)), columns, stamps_ns),
    )


def place_out_of_step(rows_ns: Ints, frames_ns: Ints) -> tuple[int, float, float] | None:
    """The first row that is stamped at the time of another frame than its own; its lag and the usual one, in seconds.

    Both are in one order and equally many, 0 for want of a stamp. None if no row is: then none is missing on one side.
    """
    stamped = np.flatnonzero((rows_ns != 0) & (frames_ns != 0))
    if len(stamped) < 3:
        return None
    lags_ns = (rows_ns - frames_ns)[stamped]
    usual_ns = float(np.median(lags_ns))
    out = np.flatnonzero(np.abs(lags_ns - usual_ns) > 0.75 * float(np.median(np.abs(np.diff(frames_ns[stamped])))))
    return (int(stamped[out[0]]), float(lags_ns[out[0]]) / 1e9, usual_ns / 1e9) if out.size else None
