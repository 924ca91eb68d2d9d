"""What screens are shown over PVA, a few times a second: images as NTNDArray (latest frame, maps), and tables."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from p4p.nt import NTNDArray
from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.publishers.descriptors import RESERVE, n_left

log = logging.getLogger(__name__)

AWAY_S = 30.0
"""Without images, when their clients have taken the descriptors of a run."""


class PvaImages:
    """A PVA server with one channel per image name below the service's prefix, and for each table.

    pvxs takes every client that comes. When their connections leave too few descriptors for a run, the server goes for
    a while: images are for screens, and the file comes first.
    """

    def __init__(self, prefix: str, names: Iterable[str], tables: Mapping[Any, SharedPV] | None = None) -> None:
        self._wrap = NTNDArray()
        empty = np.zeros((1, 1), np.float32)
        # without nt=: a SharedPV with one would wrap what is already wrapped
        self._channels = {name: SharedPV(initial=self._wrap.wrap(empty)) for name in names}
        self._served = {prefix + name: channel for name, channel in {**self._channels, **(tables or {})}.items()}
        self._n_posted = 0
        self._away_since_s = 0.0
        self._server: Server | None = self._serve()

    def _serve(self) -> Server:
        return Server(providers=[self._served])

    def make_room(self) -> None:
        """Give up the connections of all clients if a run would have no descriptors; serve again later."""
        left, now_s = n_left(), time.monotonic()
        if self._server is not None and left < RESERVE // 2:
            self.close()
            self._away_since_s = now_s
            log.warning(
                "no images over PVA for %g s, clients are disconnected: only %d file descriptors were left, which "
                "a run needs. Raise the limit ('ulimit -n', LimitNOFILE of systemd), or find out who connects",
                AWAY_S,
                left,
            )
        elif self._server is None and left >= RESERVE and now_s - self._away_since_s > AWAY_S:
            self._server = self._serve()

    def post(self, name: str, image: npt.NDArray[np.float32], attributes: dict[str, float] | None = None) -> None:
        """Show `image` (y, x); the attributes become NDAttributes."""
        self._n_posted += 1
        value = self._wrap.wrap(np.ascontiguousarray(image))
        now_ns = time.time_ns()
        stamp = {"secondsPastEpoch": now_ns // 1_000_000_000, "nanoseconds": now_ns % 1_000_000_000}
        value["uniqueId"] = self._n_posted
        value["timeStamp"] = stamp
        value["dataTimeStamp"] = stamp
        present = [{"name": key, "value": number} for key, number in (attributes or {}).items()]
        value["attribute"] = [{"name": "ColorMode", "value": 0}, *present]
        self._channels[name].post(value)

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None
