"""`ptychostream repair`: the standard file of a killed writer, or one that was cut off, put in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, ForceOption
from stream_service.text.counted import counted
from stream_service.text.terminal import NOTE, console

EPILOG = "Examples: ptychostream repair scan7_std.h5;   ptychostream repair copy_std.h5 --output scan7_repaired_std.h5"


def repair(
    file: Annotated[
        Path, typer.Argument(help="A standard file (<scan>_std.h5) that was not closed, or cut off.", metavar="FILE")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            *OUTPUT, help="New file; FILE itself if not given: the old one stays as <scan>_std_unrepaired.h5."
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Repair a file whose writer was killed, or that was cut off: a closed file of the rows that are whole."""
    from stream_service.standard_file import repair_file as put_in_order
    from stream_service.standard_file import validate_file

    done = put_in_order(file, out, force=force)
    if not done.is_new:
        console.print(
            f"{done.path}: {done.message}; it has {counted(done.n_rows, 'row')}, and stays as it is", soft_wrap=True
        )
        return
    console.print(f"{done.path}: {done.message}", soft_wrap=True)
    console.print(f"{done.original}: the file as it was", soft_wrap=True)
    findings = [finding for finding in validate_file(done.path) if finding.level == "error"]
    for finding in findings:
        console.print(NOTE, f"{finding.where}: {finding.message}", soft_wrap=True)
    raise typer.Exit(int(bool(findings)))
