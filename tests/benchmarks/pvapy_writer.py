"""pvapy's own writer of HDF5 files, which counts what it has written in a mapped file; runs in pvapy's environment."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from pvapy.hpc.hdf5AdImageWriter import Hdf5AdImageWriter  # type: ignore[import-not-found]


class CountingWriter(Hdf5AdImageWriter):  # type: ignore[misc]
    """`Hdf5AdImageWriter`, and one number per frame."""

    def __init__(self, configDict: dict[str, Any]) -> None:
        super().__init__(configDict)
        with Path(configDict["counts"]).open("r+b") as file:
            self._counts = mmap.mmap(file.fileno(), 16)
        self._n = 0

    def process(self, pvObject: Any) -> Any:
        written = super().process(pvObject)
        self._n += 1
        self._counts[:] = struct.pack("qq", self._n, self._n)
        return written
