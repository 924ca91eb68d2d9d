"""Clients of the service's CA server: none of them can harm a run.

A client that does not read is let go: caproto would keep updates for it without end, 4 MiB each of `Request`. So is a
connection that opens no channel, when the descriptors that a run needs would be used up; where all have channels, the
newest is refused. Both are logged.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any

import caproto
from caproto.asyncio.server import Context, VirtualCircuit
from caproto.asyncio.utils import _TransportWrapper
from caproto.server.common import DisconnectedCircuit

from stream_service.publishers.descriptors import RESERVE, n_left
from stream_service.publishers.service_pvs import PUT_CLIENT

log = logging.getLogger(__name__)

LARGE_BYTES = 64 << 10
"""Updates above it, of `Request` only, are sent to a few clients at a time; those below are bounded by their number."""
LARGE_AT_ONCE = 4
"""Each takes some 12 MiB: the update, what is to be sent, and what the socket has not taken."""
SLOW_S = 3.0
"""Without a byte taken of a large update, while others wait for their turn."""
STALLED_S = 30.0
"""Without a byte taken. CA itself takes a peer for dead after 30 s (EPICS_CA_CONN_TMO)."""
CLIENTS_WAITING = 100
"""In the kernel, for their connection to be taken."""
LOOK_S = 1.0
"""Between two looks at clients that do not read."""
MOST_RECEIVED = 8 << 20
"""Bytes of one command that are kept while more is awaited: the longest is a put of `Request`, 4 MiB."""
COMMANDS_WAITING = 16
"""Of one client; the next are left in its socket. The longest are 4 MiB."""
UPDATES_FIRST_S, UPDATES_FIRST_LOOKS = 0.2, 10
"""The most a completion of a put is delayed for the updates that came before it; longer if the process was held up, and
has sent none meanwhile."""
TELL_S = 10.0
"""Between two log lines about refused connections."""


class Circuit(VirtualCircuit):
    """The connection of one client."""

    def __init__(self, circuit: Any, client: Any, context: Any) -> None:
        super().__init__(circuit, client, context)
        self.command_queue = asyncio.Queue(COMMANDS_WAITING)
        self._transport: asyncio.WriteTransport = client.writer.transport
        self.opened_s = time.monotonic()
        self._has_sent_all = False
        self._unread, self._unread_since_s = 0, 0.0

    @property
    def name(self) -> str:
        """Whose connection it is."""
        host, port = self.circuit.address
        who = f"{self.client_username or '?'} on {self.client_hostname or host}"
        return f"{who} ({host}:{port})"

    @property
    def has_channels(self) -> bool:
        return bool(self.circuit.channels)

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for this client in memory."""
        queued = sum(len(update) for updates in self.unexpired_updates.values() for update in updates)
        return self._transport.get_write_buffer_size() + queued

    def is_stalled(self, now_s: float) -> bool:
        """True if the client has taken nothing for long, although something waits for it."""
        unread = self._transport.get_write_buffer_size()
        if not unread or unread != self._unread:
            self._unread, self._unread_since_s = unread, now_s
        return bool(unread) and now_s - self._unread_since_s > STALLED_S

    def drop(self) -> None:
        """Close the connection at once, without sending what waits."""
        self.unexpired_updates.clear()
        self._transport.abort()

    async def _on_disconnect(self) -> None:
        """Let go of a client that has gone, once; called by whichever task finds out.

        caproto's own awaits the task that sends updates, and fails both where it is that task itself which calls.
        """
        updates, self._sub_task = self._sub_task, None
        await super()._on_disconnect()
        if updates is not None and updates is not asyncio.current_task():
            updates.cancel()

    async def recv(self) -> None:
        """Take what the client has sent."""
        if len(self.circuit._data) > MOST_RECEIVED:
            log.warning(
                "closed the connection of %s: it sends a command of more than %d bytes", self.name, MOST_RECEIVED
            )
            self.drop()
            await self._on_disconnect()
            raise DisconnectedCircuit
        await super().recv()

    async def _process_command(self, command: Any) -> Any:
        """Take a command; a put with callback is known by the client that waits for it."""
        PUT_CLIENT.set(self if isinstance(command, caproto.WriteNotifyRequest) else None)
        return await super()._process_command(command)

    async def get_from_sub_queue(self, timeout: float | None = None) -> Any:
        """The next update to send. Without a time-out it is asked for when all before have been sent."""
        if timeout is None and self.subscription_queue.empty():
            self.unexpired_updates.clear()  # caproto keeps the latest ones otherwise
            self._has_sent_all = True
        update = await super().get_from_sub_queue(timeout)
        self._has_sent_all = False
        return update

    async def send(self, *commands: Any) -> None:
        """Send; the completion of a put after the updates that came before it, so that a client has both."""
        if any(isinstance(command, caproto.WriteNotifyResponse) for command in commands):
            await self.updates_sent()
        await super().send(*commands)

    async def updates_sent(self) -> None:
        """Return when every update until now has been sent, or has not been for `UPDATES_FIRST_S`."""
        deadline_s, n_looks = time.monotonic() + UPDATES_FIRST_S, 0
        while not (self._has_sent_all and self.subscription_queue.empty() and self.context.subscription_queue.empty()):
            n_looks += 1
            if not self.connected or (n_looks > UPDATES_FIRST_LOOKS and time.monotonic() > deadline_s):
                return
            await asyncio.sleep(0.002)


class Clients(Context):
    """caproto's server with bounds on what its clients may take, and without Nagle's delay.

    A plan waits for `State`, and 40 ms per small update would add up.
    """

    CircuitClass = Circuit
    circuits: set[Circuit]

    def __init__(self, pvdb: Any) -> None:
        super().__init__(pvdb)
        self._n_closed = self._n_refused = 0
        self._told_s = -TELL_S
        self._large: dict[Any, tuple[Any, ...]] = {}
        """The latest large update of each subscription that is still to be sent it."""
        self._few = asyncio.Semaphore(LARGE_AT_ONCE)

    async def watch(self) -> None:
        """Let go of clients that do not read, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            for circuit in tuple(self.circuits):
                if circuit.is_stalled(now_s):
                    log.warning("closed the connection of %s: it has not read for %g s", circuit.name, STALLED_S)
                    circuit.drop()
            self._tell(now_s)

    async def server_accept_loop(self, sock: socket.socket) -> None:
        """Take clients one by one, as long as there is room: asyncio's own server would take a hundred at once."""
        sock.listen(CLIENTS_WAITING)
        while True:
            try:
                connection, address = await asyncio.get_running_loop().sock_accept(sock)
            except OSError:  # no descriptor is left, so the client waits in the kernel; or it has gone again
                self._n_refused += not self._make_room()
                await asyncio.sleep(LOOK_S)
                continue
            if not self._make_room():
                self._n_refused += 1
                connection.close()
                continue
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                streams = await asyncio.open_connection(sock=connection)
            except OSError:  # it has gone again
                connection.close()
                continue
            self.server_tasks.create(self.tcp_handler(_TransportWrapper(*streams), address))

    async def all_sent(self) -> None:
        """Return when every client that reads has got every update until now."""
        await asyncio.gather(*(circuit.updates_sent() for circuit in tuple(self.circuits)))

    def _make_room(self) -> bool:
        """True if the descriptors of a run are still free, after the oldest connection without a channel has gone."""
        if n_left() >= RESERVE:
            return True
        # those that are closed already keep their descriptor until the loop has come to them
        idle = [circuit for circuit in self.circuits if not circuit.has_channels and not circuit.is_closing]
        if not idle:
            return False
        min(idle, key=lambda circuit: circuit.opened_s).drop()
        self._n_closed += 1
        return True

    def _tell(self, now_s: float) -> None:
        if not self._n_closed + self._n_refused or now_s - self._told_s < TELL_S:
            return
        log.warning(
            "connections of CA clients: %d idle ones were closed and %d new ones refused, because only %d file "
            "descriptors are left, which a run needs: raise the limit ('ulimit -n', LimitNOFILE of systemd), or find "
            "out who connects",
            self._n_closed,
            self._n_refused,
            n_left(),
        )
        self._n_closed = self._n_refused = 0
        self._told_s = now_s

    async def _subscription_queue_iteration(
        self, sub_specs: Any, metadata: Any, values: Any, flags: int, sub: Any
    ) -> None:
        """Hand an update to all who subscribed; caproto's own ends the server when one of them goes meanwhile."""
        for sub_spec in sub_specs:
            for receiver in tuple(self.subscriptions[sub_spec]) if sub is None else (sub,):
                if len(values) <= LARGE_BYTES:
                    await self._subscription_queue_send(sub_spec, receiver, metadata, values, flags)
                    continue
                if receiver not in self._large:
                    self.server_tasks.create(self._send_large(receiver))
                self._large[receiver] = (sub_spec, receiver, metadata, values, flags)

    async def _send_large(self, receiver: Any) -> None:
        """Send a client the latest large update, one of a few at a time; who does not read is let go."""
        circuit: Circuit = receiver.circuit
        async with self._few:
            await self._subscription_queue_send(*self._large.pop(receiver))
            seen, since_s = -1, time.monotonic()
            while circuit.connected and (unsent := circuit.unsent_bytes) > LARGE_BYTES:
                if unsent != seen:
                    seen, since_s = unsent, time.monotonic()
                elif time.monotonic() - since_s > SLOW_S:
                    log.warning(
                        "closed the connection of %s: it does not read, and %.1f MiB were waiting for it",
                        circuit.name,
                        unsent / (1 << 20),
                    )
                    circuit.drop()
                    return
                await asyncio.sleep(0.005)
