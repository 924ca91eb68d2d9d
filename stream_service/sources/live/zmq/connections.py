"""The connections of a ZMQ socket, as its monitor tells of them: who is there, and who was refused.

ZMQ connects anew by itself, with one exception: a sender that it has cut off, since a message was too large or no ZMQ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from stream_service.text.counted import counted

OPENED = (zmq.Event.CONNECTED, zmq.Event.ACCEPTED)
RETRIES = (zmq.Event.CONNECT_DELAYED, zmq.Event.CONNECT_RETRIED)
WATCHED = sum((*OPENED, *RETRIES, zmq.Event.HANDSHAKE_SUCCEEDED, zmq.Event.DISCONNECTED))
RETRY_S = 1.0
"""ZMQ begins to connect anew within some 0.1 s; where it has not after so long, it never will."""


@dataclass(slots=True)
class Address:
    """The connections of one address."""

    open: set[int] = field(default_factory=set)
    """Descriptors of connections that stand, greeted or not."""
    n_greeted: int = 0
    """Those of them whose sender was greeted: it speaks ZMQ, and has the keys."""
    n_refused: int = 0
    """Connections that ended before that."""
    n_cut_off: int = 0
    """Senders that ZMQ cut off after a greeting."""
    was_greeted: bool = False
    """Whether that of the connection that ended last was."""
    dropped_s: float = math.inf
    """When the last connection ended; infinite once ZMQ connects anew."""

    def enter(self, event: int, descriptor: int, now_s: float) -> None:
        """An event of the monitor."""
        if event in OPENED:
            self.open.add(descriptor)
        elif event == zmq.Event.HANDSHAKE_SUCCEEDED:
            self.n_greeted += 1
        elif event == zmq.Event.DISCONNECTED:
            self.was_greeted = len(self.open) == self.n_greeted
            self.open.discard(descriptor)
            self.n_refused += not self.was_greeted
            self.n_greeted = min(self.n_greeted, len(self.open))
            self.dropped_s = now_s
        if event in RETRIES:
            self.dropped_s = math.inf


class Connections:
    """Those of one socket. It is the thread that holds the socket that calls."""

    def __init__(self, socket: zmq.Socket[bytes], connect: tuple[str, ...], bind: tuple[str, ...]) -> None:
        """Follow it from now on: before it connects and binds."""
        self._socket = socket
        self._connect = connect
        self._monitor: Any = socket.get_monitor_socket(WATCHED)
        self._by_address = {address: Address() for address in (*connect, *bind)}
        self._endpoints = {address: address for address in self._by_address}

    def bound(self, address: str, endpoint: str) -> None:
        """A bound address has another name in the monitor: `tcp://*:5432` is `tcp://0.0.0.0:5432`."""
        self._endpoints[endpoint] = address

    def look(self, now_s: float) -> None:
        """Take what the monitor tells, and connect anew to those that were cut off."""
        while self._monitor.poll(0):
            said = parse_monitor_message(self._monitor.recv_multipart())
            address = self._endpoints.get(said["endpoint"].decode("utf-8", "replace"))
            if address is not None:
                self._by_address[address].enter(int(said["event"]), int(said["value"]), now_s)
        for address in self._connect:
            known = self._by_address[address]
            if now_s - known.dropped_s > RETRY_S:
                known.dropped_s, known.n_cut_off = math.inf, known.n_cut_off + known.was_greeted
                self._socket.disconnect(address)
                self._socket.connect(address)

    def silent(self) -> list[str]:
        """Addresses at which nobody is that was greeted."""
        return [address for address, known in self._by_address.items() if not known.n_greeted]

    def problem(self, largest_bytes: int) -> str:
        """Who was refused or cut off so far, in a sentence; empty if nobody was."""
        said = []
        for address, known in self._by_address.items():
            if known.n_refused:
                said.append(
                    f"{counted(known.n_refused, 'connection')} of {address} ended before a greeting: is it ZMQ, and "
                    "are the keys right (detector.frames, curve)?"
                )
            if known.n_cut_off:
                said.append(
                    f"the sender at {address} was cut off {counted(known.n_cut_off, 'time')}: it sends parts of more "
                    f"than {largest_bytes / (1 << 20):.3g} MiB (detector.sensor_shape, or largest_message_MiB)"
                )
        return "; ".join(said)
