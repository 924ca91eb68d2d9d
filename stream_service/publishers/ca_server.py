"""The service's CA server.

The server runs in a thread of its own with its own event loop. The whole status is handed in; only PVs whose value or
alarm changed are posted. Commands are handed out through a queue, and are the only PVs that take a put from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any

from stream_service.errors import SourceError
from stream_service.publishers.ca_clients import Clients
from stream_service.publishers.service_pvs import Order, ServicePVs, metadata_of
from stream_service.publishers.shown import Shown, changed, shown_in
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import ServiceStatus
from stream_service.settings.status_table import ServicePV
from stream_service.text.utf8 import encoded

START_TIMEOUT_S = 10.0
LAST_WORDS_S = 1.0
"""For clients to hear how the last run ended, before the server goes."""


class CaServer:
    """The running server. `publish` may be called from any thread."""

    def __init__(self, prefix: str) -> None:
        self.orders: queue.Queue[Order] = queue.Queue()
        self._group = ServicePVs(prefix, self.orders)
        self._published: dict[ServicePV, Shown] = {}
        self._defects: deque[BaseException] = deque(maxlen=1)
        """What a posting has raised, until it is told."""
        self._loop = asyncio.new_event_loop()
        self._in_order = asyncio.Lock()
        """What is posted and answered is so one after the other: an answer comes after what it is about."""
        self._is_up = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="ca-server", daemon=True)

    def start(self, status: ServiceStatus | None = None) -> None:
        """Serve from now on, the first client this status; raises `SourceError` if the port cannot be had."""
        if status is not None:
            self._published = shown_in(status)
            self._loop.run_until_complete(self._post(self._published))
        self._thread.start()
        if not self._is_up.wait(START_TIMEOUT_S) or self._failure is not None:
            raise SourceError(f"the service's CA server could not start: {self._failure or 'no answer'}")

    @property
    def is_alive(self) -> bool:
        """False once the server thread has died."""
        return self._thread.is_alive()

    def publish(self, status: ServiceStatus) -> None:
        """Post every PV that shows something else than in the last call; returns at once.

        Raises what a posting of an earlier call has raised in the thread of the server: one PV holds up no other.
        """
        shown = shown_in(status)
        news, self._published = changed(shown, self._published), shown
        if news:
            self._submit(self._post(news))
        if self._defects:
            raise self._defects.popleft()

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
            asyncio.run_coroutine_threadsafe(job, self._loop).add_done_callback(self._note)
        else:
            job.close()

    def _note(self, done: Future[None]) -> None:
        if not done.cancelled() and (defect := done.exception()) is not None:
            self._defects.append(defect)

    async def _post(self, news: Mapping[ServicePV, Shown]) -> None:
        async with self._in_order:
            for pv, shown in news.items():
                value = shown.value
                if pv.type.kind is Kind.CHAR:
                    value = encoded(str(value), pv.type.max_bytes - 1).decode()  # a screen that reads it wants its NUL
                try:
                    await self._group.channel(pv).write(value, verify_value=False, **metadata_of(pv, shown))
                except Exception as defect:  # noqa: BLE001  (raised by the next call of `publish`; the others are posted)
                    self._defects.append(defect)

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
