"""The datasets of a file that keep their size: they are rewritten in place, also when HDF5 can no longer be asked.

HDF5 that has failed to write crashes the process if it is asked again. Numbers and texts of fixed size have their place
in the file from its creation, so they are then written there by plain system calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5s

from stream_service.standard_file.schema.spec import fixed_string


class FixedDatasets:
    """Those of one open file, by path; `fd` is its descriptor."""

    def __init__(self, datasets: Mapping[str, h5py.Dataset], fd: int) -> None:
        self._datasets = {path: dataset for path, dataset in datasets.items() if not dataset.chunks}
        self._kinds = {path: (dataset.dtype, dataset.shape) for path, dataset in self._datasets.items()}
        self._offsets = {path: dataset.id.get_offset() for path, dataset in self._datasets.items()}
        self._fd = fd
        self._is_abandoned = False

    def shape(self, path: str) -> tuple[int, ...]:
        """Of the dataset."""
        return self._kinds[path][1]

    def write(self, path: str, value: np.generic | np.ndarray[Any, Any] | float) -> None:
        """Replace the whole content of a dataset; readers see it after the next flush."""
        dtype, shape = self._kinds[path]
        array = np.ascontiguousarray(value, dtype).reshape(shape)
        if self._is_abandoned:
            os.pwrite(self._fd, array.tobytes(), self._offsets[path])
        else:
            self._datasets[path].id.write(h5s.ALL, h5s.ALL, array)

    def write_text(self, path: str, text: str) -> None:
        """Replace a text, cut to the room that it has."""
        self.write(path, fixed_string(text, self._kinds[path][0].itemsize))

    def abandon(self) -> None:
        """From now on write without HDF5."""
        self._is_abandoned = True
        self._datasets.clear()
