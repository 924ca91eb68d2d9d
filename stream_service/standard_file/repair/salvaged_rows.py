"""The whole rows of a standard file whose writer died, as rows that another file can take: for a run that goes on.

The file is only read, by a process of its own (`salvage_reader`): it may be damaged, and a daemon goes on beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.core.row import MAX_BYTES
from stream_service.errors import SourceError
from stream_service.processes.answering import AnsweringProcess
from stream_service.processes.limited import LimitedProcessError
from stream_service.processes.messages import Message

log = logging.getLogger(__name__)

READER = "stream_service.standard_file.repair.salvage_reader"
OPEN_TIMEOUT_S = 300.0
"""For the columns of 1,000,000 rows on a slow disk."""
BLOCK_TIMEOUT_S = 60.0
"""For 32 MiB, on a disk that others use."""
MOST_STARTS = 3
"""Of the process: someone may have ended it; what ends it each time is in the file."""


class SalvagedRows:
    """Those of one file, in its order; a context manager, or `close` it. Not thread-safe.

    Guarantee. Every row is there that its writer had flushed and announced by live keys before it died, if its frame
    and its columns lie in the file; none that it had not; none twice. Values are those that were written; an optional
    column that is lost, or that the file does not have, reads blank. Pixels come as they were stored: reduced, in
    stored axes. `replaces` is a place among these rows, which are those of the file where none is lost; -1 also where
    the row that was replaced is lost.

    Raises `SourceError` if the file is none of ours, cannot be read, or its writer lives; `CancelledError`.
    """

    def __init__(self, path: Path, *, is_left: bool = False, cancellation: Cancellation | None = None) -> None:
        """`is_left`: the writer is known to be dead; else the heartbeat is watched for 3 s."""
        self.path = path
        self._cancellation = cancellation
        self._opening = {"path": str(path), "is_left": is_left}
        self._n_starts = 1
        self._process = AnsweringProcess(READER, cancellation=cancellation)
        try:
            found = self._ask(self._opening, OPEN_TIMEOUT_S)
        except BaseException:
            self._process.close()
            raise
        facts, arrays = found.facts, found.arrays
        self.n_announced: int = facts["n_announced"]
        """Rows that the file announces; more than `n_rows` only if it was damaged or cut off."""
        self.scan_id: str = facts["scan_id"]
        self.state: str = facts["state"]
        """Of the run, when the writer died (`codes.RUN_STATES`)."""
        self.end_reason: str = facts["end_reason"]
        self.message: str = facts["message"]
        """Both empty if it had not ended."""
        self.settings: str = facts["settings"]
        """Of the processing, as JSON; empty if lost."""
        self.start_timestamp_ns: int = facts["start_timestamp_ns"]
        self.frame_shape: tuple[int, int] = (facts["frame_shape"][0], facts["frame_shape"][1])
        """(ny, nx) of a stored frame."""
        self.counts: Mapping[str, int] = facts["counts"]
        """Of the ledger, by name, as last written."""
        self.rows: np.ndarray[Any, Any] = arrays["rows"]
        """(n,) identity, position and all other columns of the rows, by the names of `row_dtype`, but `features`."""
        self.readbacks: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]] = {
            name: (arrays[f"value {name}"], arrays[f"timestamp_ns {name}"]) for name in facts["channels"]
        }
        """Updates of each channel that were flushed: values in the unit of the file, and when each was true."""
        self.planned_m: npt.NDArray[np.float64] | None = arrays.get("planned_m")
        """(N, 2) planned positions of the beam, x then y."""
        self.mask: npt.NDArray[np.uint8] | None = arrays.get("mask")
        self.pixel_mask: npt.NDArray[np.uint32] | None = arrays.get("pixel_mask")
        """(ny, nx) as last written."""

    @property
    def n_rows(self) -> int:
        """Rows that are whole."""
        return len(self.rows)

    @property
    def frames_per_row(self) -> int:
        """k of `row_dtype(k)`."""
        return int(self.rows.dtype["unique_id"].shape[0])

    def block(self, start: int, stop: int) -> tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]:
        """The rows (n,) of `row_dtype(k)` from `start` to `stop` - 1, and their pixels (n, ny, nx)."""
        found = self._ask({"start": start, "stop": stop}, BLOCK_TIMEOUT_S)
        return found.arrays["rows"], found.arrays["pixels"]

    def blocks(self, most_bytes: int = MAX_BYTES) -> Iterator[tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]]:
        """All rows in blocks whose pixels take no more than `most_bytes`, one row at least."""
        step = max(1, most_bytes // (4 * self.frame_shape[0] * self.frame_shape[1]))
        for start in range(0, self.n_rows, step):
            yield self.block(start, min(start + step, self.n_rows))

    def close(self) -> None:
        """End the process that reads."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, question: Mapping[str, Any], timeout_s: float) -> Message:
        """The answer; of a process that has died, by another one, which is asked the same."""
        while True:
            try:
                return self._process.ask(question, timeout_s)
            except LimitedProcessError as error:
                if self._process.is_running or self._n_starts == MOST_STARTS:
                    raise SourceError(f"{self.path} cannot be salvaged: {error}") from error
                log.warning("%s is read by another process: that before it %s", self.path, error)
                self._start_again(is_asked_to_open=question is self._opening)

    def _start_again(self, *, is_asked_to_open: bool) -> None:
        self._process.close()
        self._n_starts += 1
        self._process = AnsweringProcess(READER, cancellation=self._cancellation)
        if not is_asked_to_open:
            self._ask(self._opening, OPEN_TIMEOUT_S)
