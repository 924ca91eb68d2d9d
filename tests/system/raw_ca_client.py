"""A CA client that does what no library would: it connects and says nothing, or subscribes and never reads."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self

import caproto
from limits import HANG_S

DBE_VALUE = 1
SMALL_BUFFER = 4096
"""So that what is not read soon waits in the server."""


class RawCaClient:
    """One connection to a CA server."""

    def __init__(self, port: int, *, buffer: int = SMALL_BUFFER) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(HANG_S)
        self.socket.connect(("127.0.0.1", port))
        self._circuit = caproto.VirtualCircuit(caproto.CLIENT, ("127.0.0.1", port), 0)
        self._heard: list[Any] = []

    def open(self, name: str) -> caproto.ClientChannel:
        """Open a channel."""
        channel = caproto.ClientChannel(name, self._circuit)
        self._send(channel.version(), channel.host_name("nowhere"), channel.client_name("nobody"), channel.create())
        self.wait_for(caproto.CreateChanResponse)
        return channel

    def subscribe(self, channel: caproto.ClientChannel) -> None:
        """Ask for updates; whether they are read is another matter."""
        self._send(channel.subscribe(mask=DBE_VALUE, data_count=0))

    def put(self, channel: caproto.ClientChannel, value: int, *, notify: bool) -> None:
        """Put a number; with `notify` its completion is asked for."""
        self._send(channel.write((value,), notify=notify))

    def wait_for(self, kind: type) -> Any:
        """The first message of this kind; those of other kinds are kept for who waits for them."""
        while True:
            for index, command in enumerate(self._heard):
                if isinstance(command, kind):
                    return self._heard.pop(index)
            commands, _ = self._circuit.recv(self.socket.recv(1 << 16))
            for command in commands:
                self._circuit.process_command(command)
            self._heard += commands

    @property
    def is_closed(self) -> bool:
        """True if the server has closed the connection; what it sent before is thrown away."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(1 << 20):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return True

    def _send(self, *commands: Any) -> None:
        self.socket.sendall(b"".join(bytes(buffer) for buffer in self._circuit.send(*commands)))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
