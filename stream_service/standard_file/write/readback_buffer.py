"""Updates of readback channels that are added and not yet flushed, and the datasets that they go into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import h5py
import numpy as np

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.columns import GrowingColumn


class ReadbackBuffer:
    """Of the channels of one file."""

    def __init__(self, channels: Iterable[str], datasets: Mapping[str, h5py.Dataset]) -> None:
        self._updates: dict[str, tuple[list[float], list[int]]] = {name: ([], []) for name in channels}
        self._columns = {
            name: [GrowingColumn(datasets[f"{paths.READBACKS}/{name}/{part}"]) for part in ("value", "timestamp_ns")]
            for name in self._updates
        }

    def add(self, name: str, value: float, timestamp_ns: int) -> None:
        """Take one update; `KeyError` if the channel is not one of the file's."""
        values, timestamps_ns = self._updates[name]
        values.append(value)
        timestamps_ns.append(timestamp_ns)

    def write(self) -> None:
        """Put what was added since the last `clear` into the file."""
        for name, (values, timestamps_ns) in self._updates.items():
            if values:
                of_values, of_stamps = self._columns[name]
                of_values.write(of_values.n_rows, np.array(values, np.float64))
                of_stamps.write(of_stamps.n_rows, np.array(timestamps_ns, np.int64))

    def clear(self) -> None:
        """The updates are in the file: begin again."""
        for values, timestamps_ns in self._updates.values():
            values.clear()
            timestamps_ns.clear()
