"""A file as PandABlocks' clients write it: datasets at the root that grow, times as attributes of the root."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import h5py
import numpy as np

DATASETS = {"x": "/INENC1.VAL.Mean", "y": "/INENC2.VAL.Mean"}
MORE = ("/PCAP.TS_TRIG.Value",)


class PandaFile:
    """Open for writing; entry n of each dataset is n."""

    def __init__(self, path: Path, *, swmr: bool = True, arm_time: str = "") -> None:
        self._file = h5py.File(path, "w", libver="latest")
        self._datasets = [
            self._file.create_dataset(name, (0,), np.float64, maxshape=(None,)) for name in (*DATASETS.values(), *MORE)
        ]
        if swmr:
            self._file.swmr_mode = True
        if arm_time:  # after that, as they do it: readers see it once the file is closed
            self._file.attrs["arm_time"] = arm_time

    @classmethod
    def of(cls, path: Path, n: int, arm_time: str = "") -> None:
        """One that is whole, and closed."""
        with cls(path, arm_time=arm_time) as file:
            file.append(n)

    def append(self, n: int) -> None:
        """So many more entries of each."""
        for dataset in self._datasets:
            before = dataset.shape[0]
            dataset.resize((before + n,))
            dataset[before:] = np.arange(before, before + n)
            dataset.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
