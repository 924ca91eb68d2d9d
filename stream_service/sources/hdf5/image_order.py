"""Order of the images of an NDFileHDF5 file: whether image k and the k-th of all values belong together.

NDFileHDF5 stores both as they come. With PositionMode it stores images by an index, the value of an NDAttribute, and
values still as they come, unless DimAttDatasets is Yes. No setting of the plugin is in the file, but it shows in it:
images are then missing, or lie in the file in another order than that of their rows, or there are more values than
images. The column with the index explains all of that at once, or the file is refused. While a file grows, values may
come later than images, so that it is not known yet: what may be written by index is read when it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.hdf5.chunk_places import NOWHERE
from stream_service.sources.hdf5.contents import Contents
from stream_service.sources.hdf5.dataset import StoredDataset

MOST_DISORDER = 0.1
"""Of the images, those that may lie before the one of the row before: HDF5 uses places that became free again."""
Rows = npt.NDArray[np.intp]
Claims = npt.NDArray[np.bool_]


class UnknownOrderError(SourceError):
    """The file does not tell which image belongs to which values, or not yet."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageOrder:
    """Where the images are that belong to rows of values."""

    has_image: Claims
    """For each row whether its image was stored."""
    rows: Rows | None = None
    """For each row of values the row of its image, -1 where it has none; None if they stand side by side."""
    index: str = ""
    """The column that says so."""


def rows_with_values(contents: Contents, n_values: int) -> Claims:
    """Which of so many rows of values were stored: those left out by index, or not flushed, have neither id nor stamp.

    All of them, where frames have no ids or stamps of their own.
    """
    ids, stamps = contents.unique_ids, contents.stamps
    if ids is None or stamps is None or min(stored.rows for stored in (ids.stored, *stamps.stored)) < n_values:
        return np.ones(n_values, bool)
    is_stamped = stamps.read(0, n_values) != 0
    if not is_stamped.any():
        return np.ones(n_values, bool)
    return is_stamped | (ids.read(0, n_values) != 0)


def order_of_images(contents: Contents, is_there: Claims, path: Path, *, is_closed: bool) -> ImageOrder:
    """The order in which the images stand beside the values; `is_there` says which rows of the values were stored.

    Raises `UnknownOrderError` if the file does not tell.
    """
    frames = contents.frames
    n_values, n_frames = len(is_there), frames.n_frames
    n_both = min(n_values, n_frames)
    is_too_much = is_closed and bool(is_there[n_frames:].any())
    places = None if frames.is_single else frames.stored.places_of_images(is_closed=is_closed)
    if places is None:
        if is_too_much:
            raise UnknownOrderError(_unclear(contents, n_values, path))
        return ImageOrder(np.ones(n_frames, bool))
    is_stored = places != NOWHERE
    side_by_side = ImageOrder(is_stored)
    is_whole = bool(is_stored[:n_both][is_there[:n_both]].all()) and not is_too_much
    disorder = _disorder(places[:n_both][is_stored[:n_both]])
    if is_closed and is_whole and not disorder:
        return side_by_side
    there = np.flatnonzero(is_there)
    indices = {
        column.name: column.stored.read(0, n_values)[there].astype(np.int64)
        for column in contents.columns
        if _may_be_index(column.stored, n_values)
    }
    elsewhere = {name: index for name, index in indices.items() if not np.array_equal(index, there)}
    if is_closed:
        for name, index in elsewhere.items():
            if _explains(index, is_stored, places):
                rows = np.full(n_values, -1)
                rows[there] = _last_of_each(index)
                return ImageOrder(rows >= 0, rows, name)
    elif any(_may_explain(index, places, contents) for index in elsewhere.values()):
        raise UnknownOrderError(_unclear(contents, n_values, path))
    is_beside = len(elsewhere) < len(indices) and not is_too_much
    if is_beside and _is_in_order_of_ids(contents, there[there < n_both], places):
        return side_by_side  # by index, and values stand beside their images
    if is_whole and disorder <= MOST_DISORDER * n_both:
        return side_by_side
    raise UnknownOrderError(_unclear(contents, n_values, path))


def _unclear(contents: Contents, n_values: int, path: Path) -> str:
    return (
        f"{path} does not tell which of its {contents.frames.n_frames} images belongs to which of the {n_values} "
        "values recorded with them: if it is written by index (PositionMode), set DimAttDatasets to Yes, so that "
        "values stand beside their images, or record the index as an NDAttribute"
    )


def _disorder(places: npt.NDArray[np.int64]) -> int:
    """Images that lie before that of the row before."""
    return int(np.count_nonzero(np.diff(places) < 0))


def _may_be_index(stored: StoredDataset, n_values: int) -> bool:
    return stored.dtype.kind in "iu" and len(stored.shape) == 1 and stored.rows >= n_values


def _explains(index: npt.NDArray[np.int64], is_stored: Claims, places: npt.NDArray[np.int64]) -> bool:
    """True if the images that are stored are those of this index, stored in the order in which they came first."""
    if not len(index) or index.min() < 0 or index.max() >= len(is_stored):
        return False
    rows, first = np.unique(index, return_index=True)
    if not np.array_equal(rows, np.flatnonzero(is_stored)):
        return False
    came = places[index[np.sort(first)]]
    return _disorder(came) <= MOST_DISORDER * len(came)


def _may_explain(index: npt.NDArray[np.int64], places: npt.NDArray[np.int64], contents: Contents) -> bool:
    """True if the images of a file that is not closed may stand by this index, and some more have come than values.

    A column that stays the same is none: a scan does not put one image on the other all the time. Neither is one that
    does not name the image that came first.
    """
    is_stored, rows = places != NOWHERE, np.unique(index)
    if len(rows) < 2 or rows[0] < 0 or rows[-1] >= len(places) or not is_stored[rows].all():
        return False
    is_later = is_stored.copy()
    is_later[rows] = False
    n_at_once = max((stored.chunks[0] for stored in contents.per_frame if stored.chunks), default=1)
    n_later = int(np.count_nonzero(is_later))
    return not n_later or (n_later <= n_at_once and places[is_later].min() > places[rows].min())


def _is_in_order_of_ids(contents: Contents, there: Rows, places: npt.NDArray[np.int64]) -> bool:
    """True if the images of these rows were stored as the uniqueIds beside them were counted, better than by row."""
    if contents.unique_ids is None or not len(there) or contents.unique_ids.stored.rows <= there[-1]:
        return True
    ids = contents.unique_ids.read(0, int(there[-1]) + 1)[there]
    disorder = _disorder(places[there[np.argsort(ids, kind="stable")]])
    return not disorder or disorder < _disorder(places[there])


def _last_of_each(index: npt.NDArray[np.int64]) -> Rows:
    """An image that came again has replaced the one before."""
    last = len(index) - 1 - np.unique(index[::-1], return_index=True)[1]
    rows = np.full(len(index), -1)
    rows[last] = index[last]
    return rows
