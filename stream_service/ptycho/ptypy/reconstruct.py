"""`ptychostream reconstruct`: from a standard file to `<scan>_recon.cxi`, PtyPy supervised as a subprocess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError, WriteError
from stream_service.output_file import check_output
from stream_service.ptycho.image.image_file import Reconstruction, default_image_path, write_image
from stream_service.ptycho.image.image_pictures import draw_reconstruction
from stream_service.ptycho.optics.illumination import Illumination
from stream_service.ptycho.ptypy.closed_copy import closed_copy
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.ptycho.ptypy.ptypy_run import Iteration, PtypyRun
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.recipe import recipe_text
from stream_service.ptycho.ptypy.recipe_settings import Output, RecipeSettings, Start
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import values_in

DUMP_INTERVAL = 10
"""Iterations between two looks at the present image."""


class Listener(Protocol):
    """Receiver of the progress of a reconstruction."""

    def note(self, text: str) -> None:
        """A sentence for the user."""

    def iteration(self, done: Iteration) -> None:
        """PtyPy has done one more."""

    def image(self, present: Ptyr, positions_xy_m: npt.NDArray[np.float64]) -> None:
        """Object and probe so far; (rows, 2) the positions of the rows that they are made of."""


@dataclass(frozen=True, slots=True)
class Request:
    """A reconstruction to be done: input, settings, output."""

    data: Path
    settings: RecipeSettings
    choices: ScanChoices
    python: PtypyPython
    out: Path
    command: str = ""
    """For the record."""
    force: bool = False

    @property
    def folder(self) -> Path:
        """Working folder: the recipe, PtyPy's log and its own result, pictures."""
        return self.out.with_suffix("")

    def output(self, scan: ScanFile, stage: str = "") -> Output:
        """Place of PtyPy's output in a stage of the work."""
        return Output(self.folder, scan.scan_id + stage, DUMP_INTERVAL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a reconstruction."""

    image: Path
    pictures: tuple[Path, ...]
    n_rows: int
    n_iterations: int
    photon_error: float


def prepare(request: Request) -> None:
    """See that results can be written. Raises `WriteError` or `ConfigError`."""
    inputs = (request.data, *request.choices.files)
    check_output(request.out, force=request.force, inputs=inputs)
    if request.out.suffix not in (".cxi", ".h5"):
        raise ConfigError(
            f"--output {request.out}: the name must end in .cxi, such as {default_image_path(request.data)}"
        )
    try:
        request.folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {request.folder}: {error.strerror}") from error


def reconstruct(request: Request, listener: Listener, start: Start | None = None) -> Outcome:
    """Reconstruct a file as it is now, from `start` on if there is one.

    Raises `ConfigError`, `SourceError`, `WriteError`; `SubprocessError` with PtyPy's last words if it fails.
    """
    scan = request.choices.read_scan(request.data)
    output = request.output(scan)
    is_known = start is not None and scan.optics.propagation == "far_field"  # the probe so far is better than any first
    illumination = Illumination("") if is_known else request.choices.illumination(scan, request.folder, output.run)
    for remark in (*scan.notes, *illumination.remarks):
        listener.note(remark)
    readable = closed_copy(scan, request.folder / f"{output.run}_rows.h5") if scan.is_growing else scan
    recipe = recipe_text(readable, request.settings, illumination, output, start=start)
    with PtypyRun(request.python, recipe, output) as run:
        positions_xy_m = kept_positions_xy_m(scan)
        while run.is_running:
            watch(run, listener, lambda: positions_xy_m)
        ptyr = Ptyr.read(run.result())
    return publish(request, scan, ptyr, illumination.remarks)


def watch(run: PtypyRun, listener: Listener, positions_xy_m: Callable[[], npt.NDArray[np.float64]]) -> None:
    """Tell what has happened since the last look; takes a moment. `positions_xy_m` gives those of the rows so far."""
    for iteration in run.iterations():
        listener.iteration(iteration)
    if (dump := run.new_dump()) is not None:
        listener.image(dump, positions_xy_m())


def publish(request: Request, scan: ScanFile, ptyr: Ptyr, notes: tuple[str, ...]) -> Outcome:
    """Write the image and its pictures."""
    found = Reconstruction(
        scan=scan,
        ptyr=ptyr,
        positions_xy_m=kept_positions_xy_m(scan),
        command=request.command,
        ptypy_version=request.python.version,
        notes=notes,
    )
    write_image(request.out, found, force=request.force)
    pictures = draw_reconstruction(found, request.folder / request.output(scan).run)
    photon_errors = ptyr.errors[ptyr.errors[:, 1] > 0, 1]
    return Outcome(
        image=request.out,
        pictures=tuple(pictures),
        n_rows=len(found.positions_xy_m),
        n_iterations=ptyr.n_iterations,
        photon_error=float(photon_errors[-1]) if len(photon_errors) else float("nan"),
    )


def kept_positions_xy_m(scan: ScanFile) -> npt.NDArray[np.float64]:
    """(rows, 2) of the rows that `/entry/keep` lets through, x then y."""
    with scan.open() as file:
        return values_in(file, paths.POS, scan.n_rows)[values_in(file, paths.KEEP, scan.n_rows) > 0]
