"""`ptychostream reconstruct`: PtyPy supervised, from a standard file to an image."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from stream_service.cli.image.recipe_options import RecipeOptions
from stream_service.cli.options import OUTPUT, PtypyPythonOption, StandardFileArgument, shares_options
from stream_service.errors import ConfigError
from stream_service.text.counted import counted
from stream_service.text.terminal import console

EPILOG = (
    "Examples: ptychostream reconstruct demo_std.h5 --engine DM --iters 200;   "
    "ptychostream reconstruct scan7_std.h5 --follow"
)
PREFIX = "PTYCHO:Recon:"
"""Below the daemon's own."""


@shares_options
def reconstruct(
    file: StandardFileArgument,
    options: RecipeOptions,
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="The image; <scan>_recon.cxi beside FILE if not given.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="FILE is still being written, or not there yet: reconstruct as it grows.")
    ] = False,
    timeout_s: Annotated[float, typer.Option(min=1, help="For --follow: how long to wait for FILE.")] = 3600.0,
    publish: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX", help="Show object and probe as PVA images; with --follow PTYCHO:Recon: if not given."
        ),
    ] = None,
    ptypy_python: PtypyPythonOption = None,
) -> None:
    """Reconstruct with PtyPy: image, probe, errors, pictures. Exit code 1: it failed, or the scan is not COMPLETE."""
    from stream_service.cli.image.reconstruct_progress import Shown
    from stream_service.core.run import RunState
    from stream_service.output_file import check_output
    from stream_service.ptycho.image.image_file import default_image_path
    from stream_service.ptycho.ptypy.follow import follow as follow_run
    from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
    from stream_service.ptycho.ptypy.reconstruct import Request, prepare
    from stream_service.ptycho.ptypy.reconstruct import reconstruct as reconstruct_file
    from stream_service.ptycho.ptypy.run_watch import Timeouts

    if follow and options.refine_positions:
        raise ConfigError("--refine-positions needs the complete scan: use it without --follow when the scan has ended")
    out, choices = out or default_image_path(file), options.choices()
    # what is wrong with the files is said first: PtyPy takes longer to be put right
    check_output(out, force=options.force, inputs=(file, *choices.files))
    scan = None if follow else choices.read_scan(file)
    choices.check_files()
    request = Request(
        data=file,
        settings=options.settings(),
        choices=choices,
        python=PtypyPython.find(ptypy_python, follow=follow, gpu=options.gpu),
        out=out,
        command=shlex.join(["ptychostream", *sys.argv[1:]]),
        force=options.force,
    )
    prepare(request)
    sentence, is_complete = "", True
    with ExitStack() as stack:
        shown = stack.enter_context(Shown(publish if publish is not None else PREFIX if follow else ""))
        if follow:
            followed = follow_run(request, shown, Timeouts(timeout_s))
            outcome, sentence, is_complete = followed.outcome, followed.sentence, followed.is_complete
        else:
            outcome = reconstruct_file(request, shown)
            is_complete = scan is None or scan.state in ("", RunState.COMPLETE)
            if scan is not None and not is_complete:
                sentence = f"the run in {file} is {scan.end}; the image is of the rows that are there"
    if sentence:
        console.print(Text(sentence, "green" if is_complete else "red"), soft_wrap=True)
    console.print(
        f"{outcome.image}: {counted(outcome.n_rows, 'row')}, {counted(outcome.n_iterations, 'iteration')}, "
        f"photon error {outcome.photon_error:.4g}; pictures in {outcome.pictures[0].parent}",
        soft_wrap=True,
    )
    raise typer.Exit(int(not is_complete))
