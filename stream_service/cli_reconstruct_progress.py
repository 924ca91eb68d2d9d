"""How a reconstruction is shown: a bar and notes on the terminal, object and probe as PVA images."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stream_service.interruption import raise_if_interrupted
from stream_service.ptycho.ptypy_run import Iteration
from stream_service.ptycho.ptyr import Ptyr
from stream_service.publishers.pva_images import PvaImages
from stream_service.terminal import NOTE, console

CHANNELS = ("ObjectAmplitude", "ObjectPhase", "ProbeAmplitude", "ProbePhase")
"""NTNDArray has no complex pixels."""


class Shown:
    """The listener of the command line; ends what it shows with the `with` block."""

    def __init__(self, prefix: str) -> None:
        """`prefix` of the PVs; empty for none."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("iterations, photon error {task.fields[error]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("PtyPy", total=None, error="–")
        self._images = PvaImages(prefix, CHANNELS) if prefix else None
        self._n_images = 0

    def note(self, text: str) -> None:
        self._progress.console.print(NOTE, text, soft_wrap=True)

    def iteration(self, done: Iteration) -> None:
        raise_if_interrupted()
        error = f"{done.photon_error:.4g}"
        self._progress.update(self._task, description=done.engine, completed=done.number, total=done.of, error=error)

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
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._images is not None:
            self._images.close()
