"""`ptychostream validate`: a file against our own rules and those of CXI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import AlsoBelowOption
from stream_service.hdf5.targets import AlsoBelow
from stream_service.text.counted import counted
from stream_service.text.terminal import MARKS, bold, console

EPILOG = "Example: ptychostream validate demo_std.h5"


def validate(
    file: Annotated[Path, typer.Argument(help="A standard file, or any CXI file.", metavar="FILE")],
    also_below: AlsoBelowOption = None,
) -> None:
    """Check a file against our own rules and those of CXI 1.6; exit code 1 if it breaks one."""
    from stream_service.standard_file import validate_file

    findings = validate_file(file, AlsoBelow(tuple(also_below or ())))
    for finding in findings:
        console.print(MARKS[finding.level], bold(f"{finding.where}:"), finding.message, soft_wrap=True)
    n_errors = sum(finding.level == "error" for finding in findings)
    if not n_errors:
        warnings = f", with {counted(len(findings), 'warning')}" if findings else ""
        console.print(f"{file}: a valid standard file{warnings}", soft_wrap=True)
    raise typer.Exit(int(n_errors > 0))
