"""The detector control unit: it numbers series, keeps messages for who pulls them, and can be restarted.

What is sent waits in a queue of its own, so nobody who is slow, or not there, slows the detector: messages that find it
full are lost, and counted. They are made and sent by a thread of the control unit, in their order, whenever somebody
pulls; what nobody has pulled yet waits through later series.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from iocsim.delivery import Delivery
from iocsim.detector.acquisition import Series
from iocsim.detector.ndarray import NDArray
from iocsim.faults import Faults
from iocsim.pv import PvTable
from iocsim.zmq.series import Announced, MakeStream, Message, SeriesStream
from iocsim.zmq.socket import LAST_SENT_MS, SenderSocket

POLL_S = 0.05
"""How long the thread waits for somebody to pull before it looks whether it is to end."""
HANDED_TO_ZMQ = 10
"""Messages that wait in the socket and not in the queue."""


class ControlUnit:
    """One stream of it: `Sim:<name>Series_RBV`, and messages: `Sim:<name>Sent_RBV`, `Sim:<name>Dropped_RBV` (no room).

    `begin`, `process` and `end` are called in the driver's thread.
    """

    def __init__(
        self,
        table: PvTable,
        name: str,
        faults: Callable[[], Faults],
        socket: SenderSocket,
        make_stream: MakeStream,
        n_kept: int,
    ) -> None:
        """`n_kept` is the number of messages for which the queue has room."""
        self.delivery = Delivery(faults)
        self._socket = socket
        self._make_stream = make_stream
        self._n_kept = n_kept
        self._queue: deque[Callable[[], Message]] = deque()
        self._changed = threading.Condition()
        self._stream: SeriesStream | None = None
        """Of the series under way; None if there is none, or if the control unit was restarted in it."""
        self._series_number = 0
        self.n_sent = 0
        self.n_dropped = 0
        self._is_to_restart = False
        self._is_to_end = False
        self._series = table.readback(f"{name}Series_RBV", 0)
        self._sent = table.readback(f"{name}Sent_RBV", 0)
        self._dropped = table.readback(f"{name}Dropped_RBV", 0)
        self._thread = threading.Thread(target=self._run, name=f"iocsim {name}", daemon=True)
        self._thread.start()

    def begin(self, series: Series) -> None:
        """The detector is armed."""
        with self._changed:
            self._series_number += 1
            self._stream = self._make_stream(Announced(self._series_number, series))
            self._put(self._stream.start)

    def process(self, array: NDArray) -> int:
        """Send the image as often as the faults say; gives that number, 0 also outside of a series."""
        if self._stream is None:
            return 0
        copies, leaving = self.delivery.take(array)
        self._put_images(leaving)
        return copies

    def end(self) -> None:
        """The series is over."""
        self._put_images(self.delivery.rest())
        with self._changed:
            if self._stream is not None:
                self._put(self._stream.end)
                self._stream = None

    def restart(self) -> None:
        """Switch it off and on: what was kept is lost, a series under way ends here, the next one is number 1."""
        with self._changed:
            self._is_to_restart = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_to_restart or self._is_to_end)

    def close(self) -> None:
        """End it, once what is kept is pulled, or after a second."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue, 1e-3 * LAST_SENT_MS)
            self._is_to_end = True
            self._changed.notify_all()
        self._thread.join()
        self._socket.close()

    async def refresh(self) -> None:
        """Show the counts; late images leave whose time has come."""
        self._put_images(self.delivery.due())
        await self._series.follow(self._series_number)
        await self._sent.follow(self.n_sent)
        await self._dropped.follow(self.n_dropped)

    def _put_images(self, arrays: tuple[NDArray, ...]) -> None:
        with self._changed:
            for array in arrays:
                if (stream := self._stream) is not None:
                    self._put(lambda array=array, stream=stream: stream.image(array))

    def _put(self, make_message: Callable[[], Message]) -> None:
        if len(self._queue) < self._n_kept:
            self._queue.append(make_message)
            self._changed.notify_all()
        else:
            self.n_dropped += 1

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            with self._changed:  # so that nobody waits for a thread that has ended
                self._is_to_end = True
                self._changed.notify_all()

    def _serve(self) -> None:
        while not self._is_to_end:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._is_to_end or self._is_to_restart)
                if self._is_to_restart:
                    self._start_anew()
                make_message = self._queue[0] if self._queue else None
            if make_message is not None:
                self._send(make_message())

    def _send(self, message: Message) -> None:
        """Send the first of the queue as soon as somebody pulls."""
        while not (self._is_to_end or self._is_to_restart):
            if self._socket.can_send(POLL_S) and self._socket.send(message):
                with self._changed:
                    self._queue.popleft()
                    self.n_sent += 1
                    self._changed.notify_all()
                return

    def _start_anew(self) -> None:
        self._queue.clear()
        self._stream = None
        self._series_number = 0
        self._socket.reopen()
        self._is_to_restart = False
        self._changed.notify_all()
