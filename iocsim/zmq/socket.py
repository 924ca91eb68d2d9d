"""The socket of a sender: opened at its address, with keys if there are any, and opened again on command.

Each has a context of its own, so that closing waits until the port is free again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.auth

from iocsim.zmq.address import Address, AddressError

LAST_SENT_MS = 1000
"""How long the end of the simulator waits for what the network has not taken yet."""
PORT_FREE_S = 5.0
"""How long to wait for a port that was just closed; on a quiet machine it is free at once."""
ZERO_COPY_BYTES = 1 << 18
"""Below this a copy takes less time than the book-keeping of a buffer that ZMQ uses where it lies (measured)."""
KINDS = {"PUB": zmq.PUB, "PUSH": zmq.PUSH}


@dataclass(frozen=True, slots=True)
class Keys:
    """CURVE keys of the senders: where they bind they are the servers, where they connect the clients."""

    public: bytes
    secret: bytes
    server: bytes | None = None
    """Public key of the server to which a sender connects."""

    @classmethod
    def read(cls, own: Path, server: Path | None) -> Keys:
        """From certificate files of pyzmq; `own` must hold the secret key. Raises AddressError."""
        try:
            public, secret = zmq.auth.load_certificate(own)
            server_key = None if server is None else zmq.auth.load_certificate(server)[0]
        except (OSError, ValueError) as error:
            raise AddressError(f"CURVE keys cannot be read: {error}") from error
        if secret is None:
            raise AddressError(f"{own} has no secret key: give the file that ends in .key_secret")
        return cls(public, secret, server_key)


class SenderSocket:
    """A PUB or PUSH socket that never waits. One thread at a time."""

    def __init__(self, address: Address, keys: Keys | None = None, *, high_water_mark: int | None = None) -> None:
        """`high_water_mark` is the number of messages kept for a receiver; None: that of the environment, or ZMQ's.

        Raises AddressError if the address cannot be had.
        """
        self._address = address
        self._keys = keys
        self._high_water_mark = high_water_mark
        self._open()

    def send(self, parts: Sequence[Any]) -> bool:
        """Send one message of buffers at once; False if nobody is there to take it, or who is there is too slow.

        A PUB never says so: what a subscriber has no room for is lost without a word. False, too, if the address could
        not be had when it was opened again.
        """
        if self._socket.closed:
            return False
        *first, last = parts
        try:
            for part in first:
                self._socket.send(part, zmq.SNDMORE | zmq.NOBLOCK, _is_copied(part))
            self._socket.send(last, zmq.NOBLOCK, _is_copied(last))
        except zmq.Again:
            return False
        return True

    def can_send(self, timeout_s: float) -> bool:
        """Somebody is there and has room, now or within this time."""
        return bool(self._socket.poll(round(1e3 * timeout_s), zmq.POLLOUT))

    def reopen(self) -> None:
        """Close and open it again: what was not taken yet is lost."""
        self.close(0)
        self._open(PORT_FREE_S)

    def close(self, linger_ms: int = LAST_SENT_MS) -> None:
        """Close it, once what was sent is taken, or after this time."""
        self._context.destroy(linger=linger_ms)

    def _open(self, timeout_s: float = 0.0) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(KINDS[self._address.kind])
        try:
            self._set_options()
            self._attach(timeout_s)
        except (zmq.ZMQError, AddressError) as error:
            self.close(0)
            what = "bound to" if self._address.binds else "connected to"
            raise AddressError(f"a {self._address.kind} cannot be {what} {self._address.endpoint}: {error}") from error

    def _set_options(self) -> None:
        socket, keys = self._socket, self._keys
        for name, option in (("ZMQ_AFFINITY", zmq.AFFINITY), ("ZMQ_SNDHWM", zmq.SNDHWM)):
            if (text := os.environ.get(name, "")).isdigit():
                socket.set(option, int(text))
        if self._high_water_mark is not None:
            socket.set(zmq.SNDHWM, self._high_water_mark)
        if keys is None:
            return
        socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
        if self._address.binds:
            socket.curve_server = True
        elif keys.server is None:
            raise AddressError("it needs the public key of the server there")
        else:
            socket.curve_serverkey = keys.server

    def _attach(self, timeout_s: float) -> None:
        attach = self._socket.bind if self._address.binds else self._socket.connect
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                attach(self._address.endpoint)
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)
            else:
                return


def _is_copied(part: Any) -> bool:
    return memoryview(part).nbytes < ZERO_COPY_BYTES
