"""Images over PVA as NTNDArray, a few times a second: the latest frame, maps."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from p4p.nt import NTNDArray
from p4p.server.thread import SharedPV

from stream_service.publishers.pva_backlog import PvaBacklog


class PvaImages:
    """A channel per image name, for a server."""

    def __init__(self, names: Iterable[str]) -> None:
        self._wrap = NTNDArray()
        empty = np.zeros((1, 1), np.float32)
        # without nt=: a SharedPV with one would wrap what is already wrapped
        self.channels = {name: SharedPV(initial=self._wrap.wrap(empty)) for name in names}
        self._n_posted = 0
        self.backlog = PvaBacklog()
        """What is kept for clients who do not take it."""

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
        self.channels[name].post(value)
        self.backlog.posted(image.nbytes)
