"""The service's CA server.

The server runs in a thread of its own with its own event loop. Status is handed in as whole tables; only values that
changed are posted. Commands are handed out through a queue, and are the only PVs that take a put from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Coroutine, Mapping
from typing import Any

from caproto import AlarmSeverity, AlarmStatus

from stream_service.errors import SourceError
from stream_service.publishers.ca_clients import Clients
from stream_service.publishers.service_pvs import ALARMED, TEXT_BYTES, Order, ServicePVs, StatusValue
from stream_service.text.utf8 import encoded

START_TIMEOUT_S = 10.0
LAST_WORDS_S = 1.0
"""For clients to hear how the last run ended, before the server goes."""


class CaServer:
    """The running server. `publish` may be called from any thread."""

    def __init__(self, prefix: str) -> None:
        self.orders: queue.Queue[Order] = queue.Queue()
        self._group = ServicePVs(prefix, self.orders)
        self._published: dict[str, StatusValue] = {}
        self._alarms: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._in_order = asyncio.Lock()
        """What is posted and answered is so one after the other: an answer comes after what it is about."""
        self._is_up = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="ca-server", daemon=True)

    def start(self) -> None:
        """Serve from now on; raises `SourceError` if the port cannot be had."""
        self._thread.start()
        if not self._is_up.wait(START_TIMEOUT_S) or self._failure is not None:
            raise SourceError(f"the service's CA server could not start: {self._failure or 'no answer'}")

    @property
    def names(self) -> list[str]:
        """Of all PVs, without the prefix."""
        return [name.removeprefix(self._group.prefix) for name in self._group.pvdb]

    @property
    def is_alive(self) -> bool:
        """False once the server thread has died."""
        return self._thread.is_alive()

    def publish(self, status: Mapping[str, StatusValue], severity: int = 0) -> None:
        """Post the values that changed since the last call, by PV name without prefix; returns at once.

        `severity` is the EPICS alarm severity of what the run has to say: that of `ALARMED`.
        """
        alarms = {name: severity if name in ALARMED else 0 for name in status}
        changed = {
            name: value
            for name, value in status.items()
            if (self._published.get(name), self._alarms.get(name, 0)) != (value, alarms[name])
        }
        if changed:
            self._published.update(changed)
            self._alarms.update(alarms)
            self._submit(self._post(changed, alarms))

    def answer(self, order: Order) -> None:
        """Complete the put of an order, after everything published before."""
        self._submit(self._answer(order))

    def close(self) -> None:
        """End the server, when clients have heard everything published before, or do not listen."""
        if self.is_alive:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._all_heard(), self._loop).result(LAST_WORDS_S)
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(5.0)

    def _submit(self, job: Coroutine[Any, Any, None]) -> None:
        if self.is_alive:
            asyncio.run_coroutine_threadsafe(job, self._loop)
        else:
            job.close()

    async def _post(self, changed: Mapping[str, StatusValue], alarms: Mapping[str, int]) -> None:
        async with self._in_order:
            for name, value in changed.items():
                severity = AlarmSeverity(alarms[name])
                status = AlarmStatus.STATE if severity else AlarmStatus.NO_ALARM
                if isinstance(value, str):
                    value = encoded(value, TEXT_BYTES - 1).decode()  # a screen that reads it wants its NUL
                await getattr(self._group, name).write(value, status=status, severity=severity)

    async def _answer(self, order: Order) -> None:
        async with self._in_order:
            order.answered.set()

    async def _all_heard(self) -> None:
        async with self._in_order:
            await self._clients.all_sent()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._run())
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        except OSError as error:
            self._failure = error
        finally:
            self._is_up.set()

    async def _run(self) -> None:
        self._clients = Clients(self._group.pvdb)

        async def up(_: Any) -> None:
            self._is_up.set()
            await self._clients.watch()

        await self._clients.run(log_pv_names=False, startup_hook=up)
