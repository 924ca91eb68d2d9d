"""PV Access by p4p: a client whose monitors lose no update."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from p4p.client import raw, thread
from p4p.client.thread import Disconnected


class _Monitor(thread.Subscription):
    """One whose updates are taken as soon as `Context.monitor` has returned, and not before."""

    _S: Any

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._is_complete = threading.Event()

    def complete(self, subscription: Any) -> None:
        """Take the updates of p4p's raw one from now on."""
        self._S = subscription
        self._is_complete.set()

    def _event(self) -> None:
        self._Q.push(self._handle)

    def _handle(self) -> None:
        self._is_complete.wait()
        super()._handle()


class Context(thread.Context):
    """p4p's client.

    p4p (4.3.0) drops the sign of an update that comes before `monitor` has returned, with a traceback in the log. No
    other sign follows while that update has not been taken: nothing of the PV would ever be heard.
    """

    def monitor(
        self,
        name: str,
        cb: Callable[[Any], object],
        request: Any = None,
        notify_disconnect: bool = False,
        queue: Any = None,
    ) -> thread.Subscription:
        """See p4p; `cb` is called in a thread of p4p, one update after the other."""
        subscription = _Monitor(self, name, cb, notify_disconnect=notify_disconnect, queue=queue)
        subscription.complete(raw.Context.monitor(self, name, subscription._event, request))
        return subscription


__all__ = ["Context", "Disconnected"]
