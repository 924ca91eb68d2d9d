"""`ptychostream report`: one HTML page that shows a run whole, made of its standard file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, AlsoBelowOption, StandardFileArgument
from stream_service.cli.progress import Progress
from stream_service.hdf5.targets import AlsoBelow
from stream_service.text.terminal import console

EPILOG = "Example: ptychostream report demo_std.h5"


def report(
    file: StandardFileArgument,
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, metavar="HTML", help="Page to write; <scan>_report.html beside FILE.")
    ] = None,
    also_below: AlsoBelowOption = None,
) -> None:
    """Write a page that shows a run whole: account, maps, bad rows and why, frames, settings. Opens without a network.

    FILE may be in any state, also growing, or left by a writer that died; it is only read.
    """
    from stream_service.interruption import raise_if_interrupted
    from stream_service.run_report.page import N_PARTS
    from stream_service.run_report.report import write_report
    from stream_service.run_report.report_path import report_path

    output = out or report_path(file)
    with Progress("part", output.name) as progress:

        def done(n_parts: int) -> None:
            raise_if_interrupted()
            progress.update(n_parts, N_PARTS)

        said = write_report(file, output, AlsoBelow(tuple(also_below or ())), done)
    console.print(said, soft_wrap=True)
    console.print(f"{output} shows it", soft_wrap=True)
