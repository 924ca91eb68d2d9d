"""Display of a reconstruction: a bar and notes on the terminal, object and probe as PVA images."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from stream_service.cli.progress import Progress
from stream_service.interruption import raise_if_interrupted
from stream_service.ptycho.image.object_image import covered_pixels, flattened_phase
from stream_service.ptycho.ptypy.ptypy_run import Iteration
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.publishers.pva_images import PvaImages
from stream_service.publishers.pva_server import PvaServer

CHANNELS = ("ObjectAmplitude", "ObjectPhase", "ProbeAmplitude", "ProbePhase")
"""NTNDArray has no complex pixels. The object is NaN where the scan has not covered it, its phase without the ramp."""


class Shown:
    """The listener of the command line; ends what it shows with the `with` block."""

    def __init__(self, prefix: str) -> None:
        """`prefix` of the PVs; empty for none."""
        self._progress = Progress("iteration", "PtyPy")
        self._images = PvaImages(CHANNELS)
        self._server = PvaServer(prefix, self._images.channels, self._images.backlog) if prefix else None
        self._n_iterations = 0
        """Of all runs of PtyPy: one that goes on where another ended counts from 1 again."""

    def note(self, text: str) -> None:
        self._progress.note(text)

    def iteration(self, done: Iteration) -> None:
        raise_if_interrupted()
        self._n_iterations += 1
        self._progress.update(done.number, done.of, what=done.engine, more=f"photon error {done.photon_error:.4g}")

    def image(self, present: Ptyr, positions_xy_m: npt.NDArray[np.float64]) -> None:
        if self._server is None:
            return
        probe, covered = present.probe[0], covered_pixels(present, positions_xy_m)
        amplitude = np.where(covered, np.abs(present.object), np.nan)
        phase = flattened_phase(present.object, covered)
        for name, values in zip(CHANNELS, (amplitude, phase, np.abs(probe), np.angle(probe)), strict=True):
            self._images.post(name, values.astype(np.float32), {"Iterations": self._n_iterations})

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.__exit__(*raised)
        if self._server is not None:
            self._server.close()
