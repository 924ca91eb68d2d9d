"""Frames of a run worth a look: the best, the median and the worst rows, and the mean of some over the whole scan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.quality_report.thumbnail import thumbnail
from stream_service.run_report.picture import Picture, picture_of_pixels
from stream_service.run_report.stored_run import StoredRun
from stream_service.standard_file.schema import paths
from stream_service.text.counted import counted

SIZE = 256
"""Longer side of a thumbnail."""
N_BEST, N_MEDIAN, N_WORST = 2, 2, 8
MOST_MEAN_ROWS, MOST_MEAN_BYTES = 32, 64 << 20
"""Of the frames that the mean is of: a whole scan may be a terabyte."""
UM = 1e6


def frame_pictures(run: StoredRun) -> Iterator[Picture]:
    """Thumbnails of rows; none of a run without rows."""
    good = _good(run)
    for row, what in chosen_rows(run):
        about = f"Frame of row {row}, {what}"
        lines = (*_about_row(run, row), run.rows.reason(row) or "as its neighbours")
        try:
            shown = thumbnail(run.tree.needed(paths.DATA).read(row, row + 1)[0], good, SIZE)
        except SourceError as error:
            yield Picture("", 0, 0, about, f"Row {row}: {what}", (str(error),))
        else:
            is_rejected = bool(run.rows.rejected[row])
            yield picture_of_pixels(shown, about, f"Row {row}: {what}", *lines, is_rejected=is_rejected)


def mean_picture(run: StoredRun) -> Picture | None:
    """The mean frame of rows that are used, spread over the scan; None without any."""
    used = np.flatnonzero(run.rows.used)
    n = min(len(used), MOST_MEAN_ROWS, max(1, MOST_MEAN_BYTES // (4 * run.frame_shape[0] * run.frame_shape[1])))
    if not n:
        return None
    total = np.zeros(run.frame_shape)
    rows = used[np.linspace(0, len(used) - 1, n).astype(int)].tolist()
    try:
        for row in rows:
            total += run.tree.needed(paths.DATA).read(row, row + 1)[0]
    except SourceError:  # told with the row that cannot be read
        return None
    shown = thumbnail((total / n).astype(np.float32), _good(run), 2 * SIZE)
    said = f"of {counted(n, 'row')} spread over the scan"
    return picture_of_pixels(shown, f"Mean frame {said}", "Mean frame", f"{said}, logarithmic scale")


def chosen_rows(run: StoredRun) -> list[tuple[int, str]]:
    """Rows with what they are among the others: no row twice; by their score, or spread over the scan without one."""
    judged = np.flatnonzero(run.rows.is_judged & ~run.rows.replaced)
    if not len(judged):
        n = min(len(run.rows), N_BEST + N_MEDIAN)
        return [(int(row), "not judged") for row in np.unique(np.linspace(0, len(run.rows) - 1, n).astype(int))[:n]]
    by_score = judged[np.argsort(run.rows["score"][judged], kind="stable")]
    middle = max(0, (len(by_score) - N_MEDIAN) // 2)
    parts = (
        (_worst(run, judged), "among the worst"),
        (by_score[middle : middle + N_MEDIAN], "in the middle"),
        (by_score[:N_BEST], "among the best"),
    )
    chosen: dict[int, str] = {}
    for rows, what in parts:
        for row in rows.tolist():
            chosen.setdefault(row, what)
    return list(chosen.items())


def _worst(run: StoredRun, judged: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The worst rows, the worst of each reason first; of equal scores the earlier one."""
    worst = judged[np.argsort(-run.rows["score"][judged], kind="stable")]
    _, firsts = np.unique(run.rows["reason"][worst], return_index=True)
    firsts = np.sort(firsts)
    of_each = worst[firsts[run.rows.rejected[worst[firsts]]]]
    return np.concatenate([of_each, worst[~np.isin(worst, of_each)]])[:N_WORST]


def _about_row(run: StoredRun, row: int) -> Iterator[str]:
    at = run.rows.columns[row]
    state = "rejected" if run.rows.rejected[row] else "replaced" if run.rows.replaced[row] else "used"
    yield f"{state}, score {at['score']:.3f}" if np.isfinite(at["score"]) else state
    if run.rows.has_position[row]:
        yield f"x {at['x_m'] * UM:.4g} µm, y {at['y_m'] * UM:.4g} µm"


def _good(run: StoredRun) -> npt.NDArray[np.bool_]:
    mask = run.tree.find(paths.MASK)
    if mask is None or mask.shape != run.frame_shape or not mask.is_numeric:
        return np.ones(run.frame_shape, bool)
    good = mask.whole() == 0
    return good if good.any() else np.ones(run.frame_shape, bool)
