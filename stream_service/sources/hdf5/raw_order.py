"""Order of the frames of a raw file: whether image k and the k-th of all values belong together.

NDFileHDF5 stores both as they come. With PositionMode it stores images by an index, the value of an NDAttribute, and
values still as they come, unless DimAttDatasets is Yes. No setting of the plugin is in the file, but it shows in it:
images are then missing, or lie in the file in another order than that of their rows, or there are more values than
images. The column with the index explains all of that at once, or the file is refused. While a file grows, values may
come later than images, so that it is not known yet: what may be written by index is read when it is closed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.hdf5.chunk_places import NOWHERE
from stream_service.hdf5.opening import BeingWrittenError
from stream_service.sources.hdf5.contents import Contents
from stream_service.sources.hdf5.dataset import StoredDataset

MOST_DISORDER = 0.1
"""Of the images, those that may lie before the one of the row before: HDF5 uses places that became free again."""
Rows = npt.NDArray[np.intp]


def rows_of_images(
    contents: Contents, is_stamped: npt.NDArray[np.bool_], path: Path, *, is_closed: bool
) -> Rows | None:
    """For each row of values the row of its image, -1 where it has none; None if they stand side by side.

    `is_stamped` says which rows of the values were stored. Raises `SourceError` if the file does not tell.
    """
    frames = contents.frames
    n_values, n_frames = len(is_stamped), frames.n_frames
    n_both = min(n_values, n_frames)
    places = None if frames.is_single else frames.stored.places_of_images()
    if places is None:
        if is_closed and n_values > n_frames:
            raise SourceError(_unclear(path))
        return None
    is_stored = places != NOWHERE
    is_there = is_stored[:n_both]
    is_whole = bool(is_there[is_stamped[:n_both]].all()) and not (is_closed and n_values > n_frames)
    disorder = _disorder(places[:n_both][is_there])
    if is_closed and is_whole and not disorder:
        return None
    indices = [
        np.array(column.values(0, n_values), np.int64)
        for column in contents.columns
        if _may_be_index(column.stored, n_values)
    ]
    own = np.arange(n_both)
    if any(np.array_equal(index[:n_both][is_stamped[:n_both]], own[is_stamped[:n_both]]) for index in indices):
        return None  # by index, and values stand beside their images
    if is_closed:
        for index in indices:
            if _explains(index, is_stored, places):
                return _last_of_each(index)
    elif any(_may_explain(index, is_stored, contents) for index in indices):
        is_whole = False
    if is_whole and disorder <= MOST_DISORDER * n_both:
        return None
    if is_closed:
        raise SourceError(_unclear(path))
    raise BeingWrittenError(f"{path} may be written by index (PositionMode): it is read once it is closed")


def _unclear(path: Path) -> str:
    return (
        f"{path} does not tell which image belongs to which uniqueId: if it is written by index (PositionMode), set "
        "DimAttDatasets to Yes, so that values stand beside their images"
    )


def _disorder(places: npt.NDArray[np.int64]) -> int:
    """Images that lie before that of the row before."""
    return int(np.count_nonzero(np.diff(places) < 0))


def _may_be_index(stored: StoredDataset, n_values: int) -> bool:
    return stored.dtype.kind in "iu" and len(stored.shape) == 1 and stored.rows >= n_values


def _explains(index: npt.NDArray[np.int64], is_stored: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> bool:
    """True if the images that are stored are those of this index, stored in the order in which they came first."""
    if not len(index) or index.min() < 0 or index.max() >= len(is_stored):
        return False
    rows, first = np.unique(index, return_index=True)
    if not np.array_equal(rows, np.flatnonzero(is_stored)):
        return False
    came = places[index[np.sort(first)]]
    return _disorder(came) <= MOST_DISORDER * len(came)


def _may_explain(index: npt.NDArray[np.int64], is_stored: npt.NDArray[np.bool_], contents: Contents) -> bool:
    """True if the images of a growing file may stand by this index, and some more have come than values.

    A column that stays the same is none: a scan does not put one image on the other all the time.
    """
    n_frames, rows = len(is_stored), np.unique(index)
    if len(rows) < 2 or rows[0] < 0 or rows[-1] >= n_frames:
        return False
    n_at_once = max((stored.chunks[0] for stored in contents.per_frame if stored.chunks), default=1)
    return bool(is_stored[rows].all()) and int(np.count_nonzero(is_stored)) - len(rows) <= n_at_once


def _last_of_each(index: npt.NDArray[np.int64]) -> Rows:
    """An image that came again has replaced the one before."""
    last = len(index) - 1 - np.unique(index[::-1], return_index=True)[1]
    rows = np.full(len(index), -1)
    rows[last] = index[last]
    return rows
