"""Updates of readback channels that are added and not yet flushed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class ReadbackBuffer:
    """Values and timestamps by channel; columns are named `<channel>/value` and `<channel>/timestamp_ns`."""

    def __init__(self, channels: Iterable[str]) -> None:
        self._updates: dict[str, tuple[list[float], list[int]]] = {name: ([], []) for name in channels}

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(f"{name}/{part}" for name in self._updates for part in ("value", "timestamp_ns"))

    def add(self, name: str, value: float, timestamp_ns: int) -> None:
        """Take one update; `KeyError` if the channel is not one of the file's."""
        values, timestamps_ns = self._updates[name]
        values.append(value)
        timestamps_ns.append(timestamp_ns)

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """What was added since the last `clear`; channels without an update are left out."""
        columns: dict[str, np.ndarray[Any, Any]] = {}
        for name, (values, timestamps_ns) in self._updates.items():
            if values:
                columns[f"{name}/value"] = np.array(values, np.float64)
                columns[f"{name}/timestamp_ns"] = np.array(timestamps_ns, np.int64)
        return columns

    def clear(self) -> None:
        """The updates are in the file: begin again."""
        for values, timestamps_ns in self._updates.values():
            values.clear()
            timestamps_ns.clear()
