"""How a reconstruction is shown: a bar and notes on the terminal, object and probe as PVA images."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from stream_service.cli_progress import Progress
from stream_service.interruption import raise_if_interrupted
from stream_service.ptycho.ptypy_run import Iteration
from stream_service.ptycho.ptyr import Ptyr
from stream_service.publishers.pva_images import PvaImages

CHANNELS = ("ObjectAmplitude", "ObjectPhase", "ProbeAmplitude", "ProbePhase")
"""NTNDArray has no complex pixels."""


class Shown:
    """The listener of the command line; ends what it shows with the `with` block."""

    def __init__(self, prefix: str) -> None:
        """`prefix` of the PVs; empty for none."""
        self._progress = Progress("iteration", "PtyPy")
        self._images = PvaImages(prefix, CHANNELS) if prefix else None
        self._n_images = 0

    def note(self, text: str) -> None:
        self._progress.note(text)

    def iteration(self, done: Iteration) -> None:
        raise_if_interrupted()
        self._progress.update(done.number, done.of, what=done.engine, more=f"photon error {done.photon_error:.4g}")

    def image(self, present: Ptyr) -> None:
        if self._images is None:
            return
        self._n_images += 1
        object_, probe = present.object, present.probe[0]
        for name, values in zip(
            CHANNELS, (np.abs(object_), np.angle(object_), np.abs(probe), np.angle(probe)), strict=True
        ):
            self._images.post(name, values.astype(np.float32), {"Iterations": present.n_done})

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
        if self._images is not None:
            self._images.close()
