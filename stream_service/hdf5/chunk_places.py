"""Places of a dataset's chunks in its file: which rows were stored, and in which order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.hdf5.failures import readable

NOWHERE = -1
"""The place of what was never stored."""
LAST_PLACE = 1 << 62


def places_of_images(id: h5d.DatasetID, where: str, *, is_closed: bool = True) -> npt.NDArray[np.int64] | None:
    """For a dataset (…, y, x) the byte in the file at which the first chunk of each image begins, flattened.

    Images of one chunk have one place. None if the dataset is not chunked: all of it was stored at once. What comes
    meanwhile to a file that is not closed is left out. Raises `SourceError` for an index that is damaged.
    """
    with readable(where):
        properties = id.get_create_plist()
        if properties.get_layout() != h5d.CHUNKED or len(id.shape) < 3:
            return None
        chunk, shape = properties.get_chunk()[:-2], id.shape[:-2]
        grid = tuple(-(-size // step) for size, step in zip(shape, chunk, strict=True))
        per_image = math.prod(-(-n // step) for n, step in zip(id.shape[-2:], properties.get_chunk()[-2:], strict=True))
        places = np.full(grid, NOWHERE)
        n_left = math.prod(grid) * per_image

        def note(info: Any) -> bool | None:
            nonlocal n_left
            n_left -= 1
            if n_left < 0:
                return True  # an index with more chunks than there can be is damaged, and may go on for ever
            at = tuple(offset // step for offset, step in zip(info.chunk_offset, chunk, strict=False))
            is_first = not any(info.chunk_offset[-2:])
            if is_first and all(n < size for n, size in zip(at, grid, strict=True)) and info.byte_offset <= LAST_PLACE:
                places[at] = info.byte_offset
            return None

        id.chunk_iter(note)
        if n_left < 0 and is_closed:
            raise ValueError("its index has more chunks than it can have")
        for axis, step in enumerate(chunk):
            places = places.repeat(step, axis)
    return places[tuple(slice(size) for size in shape)].reshape(-1)
