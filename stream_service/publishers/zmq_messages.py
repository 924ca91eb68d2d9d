"""Messages over ZMQ (PUB): topic and JSON, for whoever subscribes.

They are made and sent in a thread of their own. Who gives them never waits: what the thread has not taken is bounded,
and the oldest goes first; so does ZMQ with what a subscriber does not take. Nothing is made while nobody has subscribed
to it. What subscribers send is theirs: it may cost others neither messages nor the memory of the service.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import zmq

from stream_service.errors import ConfigError
from stream_service.publishers.messages import Topic, encoded

log = logging.getLogger(__name__)

MOST_UNSENT = 20_000
"""Messages that wait for the thread: some seconds of the fastest run."""
HIGH_WATER_MARK = 10_000
"""Messages for one subscriber that does not take them, 5 MB."""
MOST_SAID_BYTES = 512
"""By a subscriber in one message: a subscription is a topic, and a greeting is shorter; who says more is cut off."""
MOST_SAID = 1000
"""Of what subscribers say, looked at between two messages."""
LARGEST_PORT = 65535
ADDRESS = re.compile(r"tcp://[!-~]+:(?P<port>[0-9]+|\*)|ipc://.+")
LOOK_S = 0.1
"""Between two looks who has subscribed, while nothing is sent."""
END_S = 2.0
"""For the messages that wait at the end, here and in ZMQ: the last of them is the end of a run."""


@dataclass(frozen=True, slots=True)
class _Unsent:
    topic: Topic
    n: int
    make: Callable[[], Iterator[dict[str, Any]]]


class ZmqMessages:
    """A publisher at one address; any thread may `send`."""

    def __init__(self, address: str) -> None:
        """Bind the address (`tcp://*:5556`). Raises `ConfigError` where that cannot be."""
        _check(address)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)  # a PUB that is told of subscriptions
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MOST_SAID_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, "[" in address)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            way_out = (
                "choose another port, or end the program that has it"
                if error.errno == errno.EADDRINUSE
                else "give an address of this machine"
            )
            raise ConfigError(
                f"messages cannot be sent at {address} (service.messages of the profile): {error.strerror}; {way_out}"
            ) from error
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """As it was bound: with the port, where any was asked for (`tcp://*:*`)."""
        self._prefixes: set[bytes] = set()
        """What has been subscribed to, and is not given up, of all that a topic begins with."""
        self._unsent: deque[_Unsent] = deque()
        self._n_unsent = 0
        self._sequences = dict.fromkeys(Topic, 0)
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="messages", daemon=True)
        self._thread.start()
        log.info("messages at %s", self.address)

    def send(self, topic: Topic, make: Callable[[], Iterator[dict[str, Any]]], n: int = 1) -> None:
        """Send the `n` messages that `make` gives, in the thread that sends. Returns at once.

        They count in the sequence, whether anybody wants them or not.
        """
        with self._changed:
            self._unsent.append(_Unsent(topic, n, make))
            self._n_unsent += n
            while self._n_unsent > MOST_UNSENT and len(self._unsent) > 1:
                self._pass_over(self._unsent.popleft())
            self._changed.notify()

    def close(self) -> None:
        """Send what waits, for `END_S` at the most, and end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(END_S)

    def _pass_over(self, dropped: _Unsent) -> None:
        self._n_unsent -= dropped.n
        self._sequences[dropped.topic] += dropped.n

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    if not self._unsent and not self._is_closed:
                        self._changed.wait(LOOK_S)
                    if not self._unsent and self._is_closed:
                        return
                self._look_who_subscribed()
                self._send_next()
        except Exception:
            log.exception("no more messages are sent, on a defect of the service")
        finally:
            self._context.destroy(linger=int(1000 * END_S))

    def _send_next(self) -> None:
        with self._changed:
            if not self._unsent:
                return
            unsent = self._unsent.popleft()
            sequence = self._sequences[unsent.topic]
            self._pass_over(unsent)
        if self._is_wanted(unsent.topic):
            for number, message in enumerate(unsent.make(), sequence):
                self._socket.send_multipart(encoded(unsent.topic, number, message))

    def _is_wanted(self, topic: Topic) -> bool:
        return any(topic.encode().startswith(prefix) for prefix in self._prefixes)

    def _look_who_subscribed(self) -> None:
        for _ in range(MOST_SAID):
            if not self._socket.poll(0):
                return
            said = self._socket.recv()
            sign, prefix = said[:1], said[1:]
            if sign == b"\1" and any(topic.encode().startswith(prefix) for topic in Topic):
                self._prefixes.add(prefix)
            elif sign == b"\0":
                self._prefixes.discard(prefix)


def _check(address: str) -> None:
    """Raise `ConfigError` for what is no address: ZMQ takes port 99999 for another one."""
    found = ADDRESS.fullmatch(address)
    port = "*" if found is None else found["port"] or "*"
    if found is None or not address.isprintable() or (port != "*" and int(port) > LARGEST_PORT):
        raise ConfigError(
            f"service.messages of the profile is {address!r}; it must be an address as tcp://*:5556, with a port up to "
            f"{LARGEST_PORT}, or ipc:// and a path"
        )
