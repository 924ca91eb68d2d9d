"""Reading ahead: a thread of its own reads the next frames of a recording while the last ones are reduced and written.

HDF5 lets one thread at a time into the library, so reading and writing still take turns; what runs beside them are the
kernel, and the waiting for frames that are not there yet.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

from stream_service.core.frame import Frame
from stream_service.sources.frame_queue import FrameQueue

AHEAD_BYTES = 32 << 20
FRAME_BYTES = 1024
"""What a frame takes beside its pixels, for its attributes."""
CLOSING_S = 1.0
"""How long the end waits for a reader that waits for frames itself."""


class ReadAhead:
    """The frames of an iterator, in order; what ends it with an error is raised after the last frame before it."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._queue: FrameQueue[Frame] = FrameQueue(AHEAD_BYTES)
        self._error: Exception | None = None
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)
        self._thread.start()

    def batches(self, tick_s: float) -> Iterator[list[Frame]]:
        """The frames, as many at a time as are there; an empty list whenever none came for `tick_s`."""
        while not (self._has_ended.is_set() and not len(self._queue)):
            yield self._queue.take(tick_s)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Read no more."""
        self._queue.close()
        self._thread.join(CLOSING_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        try:
            for frame in self._frames:
                if not self._queue.put(frame, frame.pixels.nbytes + FRAME_BYTES):
                    return
        except Exception as error:  # noqa: BLE001  raised again by the thread that works on the frames
            self._error = error
        finally:
            self._has_ended.set()
            self._queue.wake()
