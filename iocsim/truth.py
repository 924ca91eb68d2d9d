"""Truth of the simulated beamline, frame by frame: the account the service's ledger is judged by.

A frame that never left is recorded like one that did, and `status` tells. Times are Unix nanoseconds of the simulator's
clock, exact. Recording costs one tuple per frame; arrays are made only when the file is written.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from iocsim.physics.frame_faults import Fault
from iocsim.whole_file import whole_file

NO_CHECKSUM = -1
NO_FAULT = ""


class FrameStatus(StrEnum):
    """Status of a frame: whether it was sent, and how often."""

    SENT = "sent"
    DROPPED = "dropped"
    DUPLICATED = "duplicated"
    """Sent, and sent again."""


class Copies(NamedTuple):
    """How often a frame was given to each transport."""

    pva: int = 0
    zmq: int = 0
    """NDPluginZMQ."""
    simplon: int = 0
    stream2: int = 0

    @property
    def status(self) -> FrameStatus:
        """Of a frame that counts as sent if any transport took it."""
        copies = max(self)
        if copies == 0:
            return FrameStatus.DROPPED
        return FrameStatus.SENT if copies == 1 else FrameStatus.DUPLICATED


NOT_SENT = Copies()


class FrameRecord(NamedTuple):
    """One frame; the names are those of the arrays in the file."""

    unique_id: int
    epoch: int
    x_m: float
    y_m: float
    start_ns: int
    end_ns: int
    energy_eV: float
    exposure_s: float
    status: str
    crc32: int
    fault: str
    magnitude: float
    sent_pva: int
    sent_zmq: int
    sent_simplon: int
    sent_stream2: int


COLUMN_DTYPES = {name: {int: "i8", float: "f8", str: "U16"}[kind] for name, kind in get_type_hints(FrameRecord).items()}


class Truth:
    """The record of one session of the simulated beamline.

    The file holds one array (N,) per column of the record (`crc32` is -1 where none was taken; of a
    sound frame `fault` is empty and `magnitude` NaN; `sent_pva` and its like are the times it was given to each
    transport), the beamline's `arrays` under their own names, and `facts`, a JSON text. It is written without pickles.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """`arrays` must not be named like a column; `facts` is whatever JSON can say."""
        clash = sorted((COLUMN_DTYPES.keys() | {"facts"}) & arrays.keys())
        if clash:
            raise ValueError(f"arrays of the beamline cannot be named {', '.join(clash)}: columns of the record are")
        self._arrays = dict(arrays)
        self._facts = json.dumps(facts, sort_keys=True, allow_nan=False)
        self._records: list[FrameRecord] = []
        self.on_frame: Callable[[FrameRecord], None] = lambda record: None
        """Called with each frame, in the thread that makes it."""

    def record(
        self,
        unique_id: int,
        epoch: int,
        x_m: float,
        y_m: float,
        start_ns: int,
        end_ns: int,
        energy_eV: float,
        exposure_s: float,
        status: FrameStatus,
        pixels: NDArray[Any] | None = None,
        fault: Fault | None = None,
        copies: Copies = NOT_SENT,
    ) -> None:
        """Enter one frame: (x_m, y_m) is the beam on the sample at mid-exposure.

        With `pixels` the CRC-32 of its bytes in C order is kept; it takes about 15 us per 100 kB.
        """
        crc32 = NO_CHECKSUM if pixels is None else zlib.crc32(np.ascontiguousarray(pixels).data)
        kind, magnitude = (NO_FAULT, math.nan) if fault is None else (fault.kind.value, fault.magnitude)
        record = FrameRecord(
            unique_id,
            epoch,
            x_m,
            y_m,
            start_ns,
            end_ns,
            energy_eV,
            exposure_s,
            status.value,
            crc32,
            kind,
            magnitude,
            *copies,
        )
        self._records.append(record)
        self.on_frame(record)

    def __len__(self) -> int:
        """Frames recorded so far."""
        return len(self._records)

    def clear(self) -> None:
        """Forget the frames, keep the beamline."""
        self._records = []

    def save(self, path: Path) -> None:
        """Write everything as an uncompressed .npz, whole or not at all (temporary name, then renamed).

        May run beside `record` in another thread: it writes the frames entered so far. Raises OSError.
        """
        path = Path(path)
        records = tuple(self._records)
        columns = {
            name: np.array([record[column] for record in records], dtype)
            for column, (name, dtype) in enumerate(COLUMN_DTYPES.items())
        }
        with whole_file(path) as file:
            np.savez(file, allow_pickle=False, facts=np.array(self._facts), **columns, **self._arrays)
            file.flush()
            os.fsync(file.fileno())
