"""caproto's CA server as a real-time simulator needs it: monitor updates go out at once and in order.

caproto gathers updates into batches and, when many come, holds them back for up to a second; a scan that steps every
10 ms must see DMOV when it happens. Here a batch is whatever is waiting.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, NoReturn

from caproto import ReadNotifyRequest
from caproto.asyncio.server import Context, VirtualCircuit
from caproto.server.common import DisconnectedCircuit

from iocsim.motors.readback_delivery import ReadbackDelivery
from iocsim.silence import Silence

LOOPBACK = "127.0.0.1"


class PromptCircuit(VirtualCircuit):
    """The connection to one client."""

    context: CaServer  # pyright: ignore[reportIncompatibleVariableOverride]  (no circuit of ours is of another)

    async def subscription_queue_loop(self) -> None:
        """Send all updates that wait, then wait for the next; as in caproto, none for a subscription just cancelled."""
        self.events_on.set()
        try:
            while True:
                references = [await self.subscription_queue.get()]
                while not self.subscription_queue.empty():
                    references.append(self.subscription_queue.get_nowait())
                wanted = {sub.subscriptionid: sub for subs in self.subscriptions.values() for sub in subs}
                # A dead reference is an update beyond the backlog that caproto grants a slow client.
                updates = [u for r in references if (u := r()) is not None and u.subscriptionid in wanted]
                for keeps in (self.context.silence.keeps, self.context.readbacks.keeps):
                    updates = [u for u in updates if not keeps(wanted[u.subscriptionid].channel.name, self.send, [u])]
                if updates:
                    await self.send(*updates)
        except DisconnectedCircuit:
            self._sub_task = None  # caproto would await this very task
            await self._on_disconnect()
            self.circuit.disconnect()
            await self.context.circuit_disconnected(self)

    async def _process_command(self, command: Any) -> Any:
        """As in caproto, but a silent PV keeps its answer to a get."""
        response = await super()._process_command(command)
        if response and isinstance(command, ReadNotifyRequest):
            channel, _ = self._get_db_entry_from_command(command)
            return None if self.context.silence.keeps(channel.name, self.send, response) else response
        return response


class CaServer(Context):
    """The CA server for a table of PVs."""

    CircuitClass = PromptCircuit

    def __init__(
        self, pvs: Mapping[str, Any], interfaces: list[str], silence: Silence, readbacks: ReadbackDelivery
    ) -> None:
        super().__init__(pvs, interfaces)
        self.silence = silence
        self.readbacks = readbacks
        self.is_cut = False
        """Nobody gets through; set it back to let clients find the PVs again."""

    async def cut(self) -> None:
        """Let all connections die, and none be made."""
        self.is_cut = True
        for circuit in list(self.circuits):
            circuit.client.writer.transport.abort()

    async def tcp_handler(self, client: Any, addr: Any) -> None:
        """Serve one client, without Nagle's delay: asyncio switches it off only for sockets that name TCP."""
        if self.is_cut:
            client.writer.transport.abort()
            return
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await super().tcp_handler(client, addr)

    async def _broadcaster_recv_datagram(self, bytes_received: bytes, address: Any) -> None:
        if not self.is_cut:
            await super()._broadcaster_recv_datagram(bytes_received, address)

    async def broadcast_beacon_loop(self) -> NoReturn:
        """Beacons only speed up reconnecting; on loopback, without a caRepeater, each one is an error in the log."""
        while self.interfaces == [LOOPBACK]:
            await asyncio.sleep(3600.0)
        await super().broadcast_beacon_loop()
