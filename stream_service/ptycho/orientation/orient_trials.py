"""Short reconstructions, one for each detector orientation: the second measure of the orientation wizard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stream_service.output_file import check_is_no_input
from stream_service.ptycho.optics.scan_holograms import middle_rows
from stream_service.ptycho.orientation.orient import Candidate
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.ptycho.ptypy.ptypy_run import PtypyRun
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.recipe import recipe_text
from stream_service.ptycho.ptypy.recipe_settings import Output, RecipeSettings
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file import whole_hdf5
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import values_in

MOST_ROWS = 80
"""In the middle of the scan: enough to tell right from wrong, and quick."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A candidate, tried out."""

    candidate: Candidate
    ptyr: Ptyr

    @property
    def photon_error(self) -> float:
        """PtyPy's, after the last iteration."""
        return float(self.ptyr.errors[-1, 1])


def run_trials(
    scan: ScanFile,
    candidates: tuple[Candidate, ...],
    iterations: int,
    python: PtypyPython,
    folder: Path,
    tell: Callable[[int], None],
) -> list[Trial]:
    """Reconstruct the middle of the scan for each; the least error first. `tell` is told how many are done.

    Raises what a reconstruction raises.
    """
    keep = folder / "keep.h5"
    check_is_no_input(keep, [scan.path], "the list of rows,")
    _write_keep(scan, keep)
    settings = RecipeSettings("DM", iterations, n_polish=0)
    trials = []
    for number, candidate in enumerate(candidates):
        tell(number)
        oriented = replace(scan, orientation=candidate.orientation)
        output = Output(folder, f"trial{number}")
        illumination = ScanChoices().illumination(oriented, folder, output.run)
        with PtypyRun(python, recipe_text(oriented, settings, illumination, output, keep=keep), output) as run:
            while run.is_running:
                for _ in run.iterations():
                    pass
            trials.append(Trial(candidate, Ptyr.read(run.result())))
    return sorted(trials, key=lambda trial: trial.photon_error)


def _write_keep(scan: ScanFile, path: Path) -> None:
    with scan.open() as file:
        positions_yx_m = values_in(file, paths.POS, scan.n_rows)[:, ::-1]
        keep = values_in(file, paths.KEEP, scan.n_rows)
    chosen = np.zeros(scan.n_rows, np.uint8)
    chosen[middle_rows(positions_yx_m, keep > 0, MOST_ROWS)] = 1
    with whole_hdf5(path, "write the list of rows") as (target, _):
        target[paths.KEEP] = chosen
