"""`ptychostream orient`: which lines of the profile make frames and positions fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, AlsoBelowOption, DefocusOption, PtypyPythonOption
from stream_service.cli.progress import Progress
from stream_service.hdf5.targets import AlsoBelow
from stream_service.text.terminal import NOTE, console, show_notes

EPILOG = (
    "Examples: ptychostream orient demo_std.h5;   ptychostream orient demo_std.h5 --reconstruct --output orient-demo"
)


def orient(
    file: Annotated[Path, typer.Argument(help="A standard file of a defocused scan.", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="Folder for the pictures; <scan>_orient beside FILE.")
    ] = None,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Also a short reconstruction in each of the eight (needs PtyPy).")
    ] = False,
    iters: Annotated[int, typer.Option(min=1, help="Iterations of each short reconstruction.")] = 20,
    defocus: DefocusOption = None,
    also_below: AlsoBelowOption = None,
    ptypy_python: PtypyPythonOption = None,
) -> None:
    """Find the detector orientation, one of eight, and the profile lines for it. Exit code 1: it is not known."""
    from stream_service.errors import WriteError
    from stream_service.ptycho.optics.scan_holograms import read_holograms
    from stream_service.ptycho.orientation.orient import judge, profile_lines
    from stream_service.ptycho.orientation.orient_answer import ASK_FOR_THE_SIDE, answer
    from stream_service.ptycho.orientation.orient_pictures import draw_candidates
    from stream_service.ptycho.orientation.orient_trials import run_trials
    from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
    from stream_service.ptycho.ptypy.scan_choices import ScanChoices

    python = PtypyPython.find(ptypy_python) if reconstruct else None
    scan = ScanChoices(defocus_m=defocus, also=AlsoBelow(tuple(also_below or ()))).read_scan(file)
    show_notes(scan.notes)
    seen = read_holograms(scan)
    verdict = judge(scan, seen)
    folder = out or file.with_name(file.stem.removesuffix("_std") + "_orient")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {folder}: {error.strerror}") from error
    trials = []
    if python is not None:
        n_trials = len(verdict.candidates)
        with Progress("short reconstruction", "PtyPy") as progress:
            trials = run_trials(scan, verdict.candidates, iters, python, folder, lambda n: progress.update(n, n_trials))
    lines = {candidate.orientation: profile_lines(candidate.orientation, +1, scan) for candidate in verdict.candidates}
    names = [
        f"rotate {lines[one.orientation].rotate}, flip {lines[one.orientation].flip}" for one in verdict.candidates
    ]
    picture = draw_candidates(verdict.candidates, seen, trials, names, folder)
    is_decided = verdict.best is not None and verdict.sign_is_known
    if verdict.best is not None and not verdict.sign_is_known:
        console.print(NOTE, ASK_FOR_THE_SIDE, soft_wrap=True)
    console.print(verdict.reason, soft_wrap=True)
    for trial in trials:
        said = lines[trial.candidate.orientation]
        console.print(f"rotate {said.rotate}, flip {said.flip}: photon error {trial.photon_error:.4g}")
    console.print(f"pictures: {picture}", soft_wrap=True)
    for paragraph in answer(scan, verdict):
        console.print()
        console.print(paragraph, soft_wrap=True, markup=False)
    if trials and verdict.best is not None:
        orientation = verdict.best.orientation
        expected = {orientation} if is_decided else {orientation, orientation.upside_down}
        if trials[0].candidate.orientation not in expected:
            console.print(NOTE, "the short reconstructions prefer another way: look at the pictures", soft_wrap=True)
    if not is_decided:
        raise typer.Exit(1)
