"""The connections of a ZMQ socket, as its monitor tells of them: who is there, and who was refused.

ZMQ connects anew by itself, with one exception: a sender that it has cut off, since a message was too large or no ZMQ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from socket import getaddrinfo
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from stream_service.text.counted import counted

OPENED = (zmq.Event.CONNECTED, zmq.Event.ACCEPTED)
RETRIES = (zmq.Event.CONNECT_DELAYED, zmq.Event.CONNECT_RETRIED)
REFUSALS = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.HANDSHAKE_FAILED_AUTH,
)
"""Just before the connection ends; of a socket of the wrong kind ZMQ tells none."""
WATCHED = sum((*OPENED, *RETRIES, *REFUSALS, zmq.Event.HANDSHAKE_SUCCEEDED, zmq.Event.DISCONNECTED))
RETRY_S = 1.0
"""ZMQ begins to connect anew within some 0.1 s; where it has not after so long, it never will."""
OFTEN = 3
"""Senders that leave a bound address so often say something: one that sends too much connects again by itself."""


@dataclass(slots=True)
class Peers:
    """Those who are, or were, connected at one address."""

    waiting: list[int] = field(default_factory=list)
    """Descriptors of connections that stand and were not greeted yet, the newest last."""
    greeted: set[int] = field(default_factory=set)
    """Those whose sender was greeted: it speaks ZMQ, and has the keys."""
    is_refused: bool = False
    """True while ZMQ ends one that it has refused."""
    n_refused: int = 0
    """Connections that ended before that."""
    n_left: int = 0
    """Connections that ended after it."""
    n_cut_off: int = 0
    """Those of them that ZMQ cut off, as far as that is told: where we connect."""
    dropped_s: float = math.inf
    """When the last connection ended; infinite once ZMQ connects anew."""
    was_greeted: bool = False
    """True if the sender of that connection had been greeted."""

    def enter(self, event: int, descriptor: int, now_s: float) -> None:
        """An event of the monitor."""
        if event in OPENED:
            self.waiting.append(descriptor)
        elif event == zmq.Event.HANDSHAKE_SUCCEEDED:
            self._greet()
        elif event in REFUSALS:
            self.is_refused = True
        elif event == zmq.Event.DISCONNECTED:
            self._end(descriptor)
            self.dropped_s = now_s
        if event in RETRIES:
            self.dropped_s = math.inf

    def _greet(self) -> None:
        """ZMQ does not say which one: a greeting takes milliseconds, so older ones are of peers that say nothing."""
        if self.waiting:
            self.greeted.add(self.waiting.pop())

    def _end(self, descriptor: int) -> None:
        self.was_greeted = descriptor in self.greeted and not self.is_refused
        if descriptor in self.greeted:
            self.greeted.remove(descriptor)
            if self.is_refused:
                self._greet()  # it was another one
        elif descriptor in self.waiting:
            self.waiting.remove(descriptor)
        self.n_left += self.was_greeted
        self.n_refused += not self.was_greeted
        self.is_refused = False


class Connections:
    """Those of one socket. It is the thread that holds the socket that calls."""

    def __init__(self, socket: zmq.Socket[bytes], connect: tuple[str, ...], bind: tuple[str, ...]) -> None:
        """Follow it from now on: before it connects and binds."""
        self._socket = socket
        self._connect = connect
        is_sub = socket.type == zmq.SUB
        self._sends = "publishes (PUB), as socket: sub says" if is_sub else "pushes (PUSH), as socket: pull says"
        endpoint = f"inproc://monitor-{id(self)}"
        socket.monitor(endpoint, WATCHED)
        self._monitor: Any = socket.context.socket(zmq.PAIR)
        self._monitor.setsockopt(zmq.RCVHWM, 0)  # ZMQ's own thread would wait for room, and nothing come any more
        self._monitor.connect(endpoint)
        self._peers = {address: Peers() for address in (*connect, *bind)}
        self._bound_ports: dict[str, str] = {}
        self.n_greetings = 0
        """Of senders, each time one connects."""

    def bound(self, address: str, endpoint: str) -> None:
        """A bound address is known by its port: who connects to `tcp://*:5432` is told under whichever address of this
        machine was taken for it."""
        self._bound_ports[_port(endpoint)] = address

    def look(self, now_s: float) -> None:
        """Take what the monitor tells, and connect anew to those that were cut off."""
        while self._monitor.poll(0):
            said = parse_monitor_message(self._monitor.recv_multipart())
            self.n_greetings += said["event"] == zmq.Event.HANDSHAKE_SUCCEEDED
            endpoint = said["endpoint"].decode("utf-8", "replace")
            if (address := self._address_of(endpoint)) is not None:
                self._peers[address].enter(int(said["event"]), int(said["value"]), now_s)
        for address in self._connect:
            peers = self._peers[address]
            if now_s - peers.dropped_s > RETRY_S:
                peers.dropped_s, peers.n_cut_off = math.inf, peers.n_cut_off + peers.was_greeted
                self._socket.disconnect(address)
                self._socket.connect(address)

    def _address_of(self, endpoint: str) -> str | None:
        """The address that an endpoint of the monitor is of: a name that was connected to is a number from then on."""
        if endpoint in self._peers:
            return endpoint
        port = _port(endpoint)
        named = [address for address in self._connect if _port(address) == port]
        if len(named) > 1:
            named = [address for address in named if _host(endpoint) in _numbers_of(_host(address))]
        return named[0] if named else self._bound_ports.get(port)

    def silent(self) -> list[str]:
        """Addresses at which nobody is that was greeted."""
        return [address for address, peers in self._peers.items() if not peers.greeted]

    def problem(self, largest_bytes: int) -> str:
        """Who was refused or cut off so far, in a sentence; empty if nobody was."""
        said = []
        limit = f"{largest_bytes / (1 << 20):.3g} MiB (detector.sensor_shape, or largest_message_MiB)"
        too_large = f"parts of more than {limit}"
        for address, peers in self._peers.items():
            if peers.n_refused:
                said.append(
                    f"{counted(peers.n_refused, 'connection')} of {address} ended before a greeting: is it ZMQ that "
                    f"{self._sends}, and are the keys right (detector.frames, curve)?"
                )
            if peers.n_cut_off:
                said.append(
                    f"the sender at {address} was cut off {counted(peers.n_cut_off, 'time')}: it sends {too_large}"
                )
            elif address not in self._connect and peers.n_left >= OFTEN:
                said.append(f"senders have left {address} {peers.n_left} times: they end, or send {too_large}")
        return "; ".join(said)


def _port(endpoint: str) -> str:
    """Of `tcp://host:port`; the path of an `ipc://` one."""
    return endpoint.rpartition(":")[2]


def _host(endpoint: str) -> str:
    """Of `tcp://host:port`, without the brackets of an IPv6 one."""
    return endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def _numbers_of(host: str) -> set[str]:
    """IP addresses of a host, as ZMQ has just asked for them; none if it is not known any more."""
    try:
        return {str(found[4][0]) for found in getaddrinfo(host, None)}
    except OSError:
        return set()
