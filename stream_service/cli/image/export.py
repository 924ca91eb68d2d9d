"""`ptychostream export`: a standard file for other reconstruction programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, AlsoBelowOption, ForceOption, StandardFileArgument
from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.text.counted import counted
from stream_service.text.terminal import console, show_notes

EPILOG = (
    "Examples: ptychostream export demo_std.h5 --pynx --output demo_pynx.cxi;   "
    "ptychostream export demo_std.h5 --tike --recon demo_recon.cxi --output demo_tike.h5;   "
    "ptychostream export demo_std.h5 --ptychonn --recon demo_recon.cxi --output demo_ptychonn.h5"
)


def export(
    file: StandardFileArgument,
    out: Annotated[Path, typer.Option(*OUTPUT, help="File to make.")],
    pynx: Annotated[bool, typer.Option("--pynx", help="CXI with translation (3, N), for PyNX.")] = False,
    tike: Annotated[bool, typer.Option("--tike", help="data, scan in pixels, and probe, for tike.")] = False,
    ptychonn: Annotated[bool, typer.Option("--ptychonn", help="patterns, amplitude, phase, for PtychoNN.")] = False,
    recon: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Reconstruction of this scan, for the probe or the images.")
    ] = None,
    also_below: AlsoBelowOption = None,
    force: ForceOption = False,
) -> None:
    """Write the rows to use in the layout of another program: upright squares about the axis, without rejected rows."""
    from stream_service.ptycho.image.export import Layout
    from stream_service.ptycho.image.export import export as write

    wanted = [layout for layout, is_wanted in zip(Layout, (pynx, tike, ptychonn), strict=True) if is_wanted]
    if len(wanted) != 1:
        raise ConfigError("say for which program: one of --pynx, --tike, --ptychonn")
    done = write(file, out, wanted[0], recon, force=force, also=AlsoBelow(tuple(also_below or ())))
    show_notes(done.notes)
    console.print(f"{out}: {counted(done.n_rows, 'row')} for {wanted[0].value}", soft_wrap=True)
