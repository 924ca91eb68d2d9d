"""`ptychostream orient`: which lines of the profile make frames and positions fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli_options import OUTPUT, AlsoBelowOption
from stream_service.cli_progress import Progress
from stream_service.hdf5.targets import AlsoBelow
from stream_service.terminal import NOTE, bold, console

EPILOG = (
    "Examples: ptychostream orient demo_std.h5;   ptychostream orient demo_std.h5 --reconstruct --output orient-demo"
)


def orient(
    file: Annotated[Path, typer.Argument(help="A standard file of a defocused scan.", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="Folder for the pictures; <scan>_orient beside FILE.")
    ] = None,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Also reconstruct shortly in all eight ways (needs PtyPy).")
    ] = False,
    iters: Annotated[int, typer.Option(min=1, help="Iterations of each short reconstruction.")] = 20,
    also_below: AlsoBelowOption = None,
    ptypy_python: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar="PTYCHOSTREAM_PTYPY_PYTHON", help="The Python that has PtyPy.")
    ] = None,
) -> None:
    """Try all mountings of the camera and signs of the stage: which profile lines are right? Exit code 1: no answer."""
    from stream_service.errors import WriteError
    from stream_service.ptycho.orient import judge, profile_lines
    from stream_service.ptycho.orient_pictures import draw_candidates
    from stream_service.ptycho.orient_trials import run_trials
    from stream_service.ptycho.ptypy_python import PtypyPython
    from stream_service.ptycho.scan_file import ScanFile
    from stream_service.ptycho.scan_shadows import read_shadows

    python = PtypyPython.find(ptypy_python) if reconstruct else None
    scan = ScanFile.read(file, AlsoBelow(tuple(also_below or ())))
    scan.check_plausible()
    seen = read_shadows(scan)
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
    lines = {candidate.turn: profile_lines(candidate.turn, +1, scan) for candidate in verdict.candidates}
    names = [f"rotate {lines[one.turn].rotate}, flip {lines[one.turn].flip}" for one in verdict.candidates]
    picture = draw_candidates(verdict.candidates, seen, trials, names, folder)
    console.print(verdict.reason, soft_wrap=True)
    for trial in trials:
        said = lines[trial.candidate.turn]
        console.print(f"rotate {said.rotate}, flip {said.flip}: photon error {trial.photon_error:.4g}")
    console.print(f"pictures: {picture}", soft_wrap=True)
    if verdict.best is None:
        raise typer.Exit(1)
    turn = verdict.best.turn
    console.print()
    console.print(bold("The profile is to say"), "if its stage_map is right:")
    console.print(str(profile_lines(turn, +1, scan)), soft_wrap=True)
    console.print(
        "or, if its rotate and flip were found by looking at the camera (the image is then upside down):",
        soft_wrap=True,
    )
    console.print(str(profile_lines(turn.upside_down, -1, scan)), soft_wrap=True)
    if not verdict.sign_is_known:
        console.print(
            NOTE,
            "the file does not say on which side of the focus the sample was (optics.defocus_m). "
            "If it was before the focus, turn the frames by another half turn: else the twin image is reconstructed.",
            soft_wrap=True,
        )
    if trials and trials[0].candidate.turn != turn:
        console.print(NOTE, "the short reconstructions prefer another way: look at the pictures", soft_wrap=True)
