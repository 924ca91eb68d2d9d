"""Connections of CA clients that end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import caproto
import pytest

from stream_service.publishers.ca_clients import Circuit


def connection() -> Circuit:
    """Of a client without subscriptions."""
    client: Any = SimpleNamespace(
        writer=SimpleNamespace(transport=None), close=lambda: None, getsockname=lambda: ("127.0.0.1", 2)
    )
    context = SimpleNamespace(subscription_queue=asyncio.Queue(), subscriptions={})
    return Circuit(caproto.VirtualCircuit(caproto.SERVER, ("127.0.0.1", 1), None), client, context)


@pytest.mark.parametrize("order", [("updates",), ("reading",), ("updates", "reading"), ("reading", "updates")])
def test_a_connection_ends_by_whichever_task_finds_out(order: tuple[str, ...]) -> None:
    """The task that sends updates finds it, that which reads, or both at once."""

    async def end() -> None:
        circuit = connection()
        found_out = {who: asyncio.Event() for who in ("updates", "reading")}

        async def updates() -> None:
            await found_out["updates"].wait()
            await circuit._on_disconnect()

        async def reading() -> None:
            await found_out["reading"].wait()
            await circuit._on_disconnect()

        sending = circuit.tasks.create(updates())
        vars(circuit)["_sub_task"] = sending
        taking = asyncio.create_task(reading())
        await asyncio.sleep(0)
        for who in order:
            found_out[who].set()
        await asyncio.wait([sending, *([taking] if "reading" in order else [])])
        taking.cancel()
        for task in (sending, taking):
            assert not task.done() or task.cancelled() or task.exception() is None
        assert not circuit.connected

    asyncio.run(end())
