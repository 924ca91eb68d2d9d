"""`ptychostream sidecar`: the log of a scan becomes the file that goes beside its TIFF frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, AlsoBelowOption, ForceOption
from stream_service.hdf5.targets import AlsoBelow
from stream_service.run.recorded.correction_options import pairs_of
from stream_service.settings.recorded_choices import Match
from stream_service.text.counted import counted
from stream_service.text.terminal import WARNING, console

EPILOG = (
    "Examples: ptychostream sidecar --frames 'scan001_*.tif' --csv epics_log.csv --output scan001_sidecar.h5;   "
    "ptychostream sidecar --frames 'scan001_*.tif' --csv log.csv --output scan001_sidecar.h5 "
    "--column posx=MOTOR:X.RBV --unit posx=um --column posy=MOTOR:Y.RBV --unit posy=um --stage-map=-1,0,0,-1"
)


def sidecar(
    frames: Annotated[str, typer.Option(metavar="GLOB", help="Numbered TIFFs, or stacks of images; quote it.")],
    csv: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A row per frame: frame_index,posx_m,posy_m,energy_eV,det_dist_m,pixel_m,exposure_s; also unique_id, "
            "timestamp_ns. Other units in the names: posx_um, energy_keV.",
        ),
    ],
    output: Annotated[Path, typer.Option(*OUTPUT, metavar="FILE", help="Sidecar (HDF5) to make.")],
    column: Annotated[
        list[str] | None, typer.Option(metavar="QUANTITY=NAME", help="Column of a quantity: posx=MOTOR:X.RBV.")
    ] = None,
    unit: Annotated[list[str] | None, typer.Option(metavar="QUANTITY=UNIT", help="Its unit: posx=um.")] = None,
    match: Annotated[
        Match, typer.Option(help="How rows find frames: frame_index is the file's number, or both are in one order.")
    ] = Match.AUTO,
    row_offset: Annotated[
        int | None,
        typer.Option(help="frame_index (unique_id) of a row minus that of its frame: 1 if rows count from 1."),
    ] = None,
    dark: Annotated[str | None, typer.Option(metavar="FILE[:DATASET]", help="Dark to put in: .npy, .npz, .h5.")] = None,
    flat: Annotated[str | None, typer.Option(metavar="FILE[:DATASET]", help="Flat, likewise.")] = None,
    mask: Annotated[str | None, typer.Option(metavar="FILE[:DATASET]", help="Mask, likewise; 0 = good.")] = None,
    stage_map: Annotated[
        str | None,
        typer.Option(
            metavar="XX,XY,YX,YY",
            help="Positions are a stage's; this makes them the beam's. -1,0,0,-1: the stage moves the sample.",
        ),
    ] = None,
    also_below: AlsoBelowOption = None,
    force: ForceOption = False,
) -> None:
    """Make the sidecar of TIFF frames: from the log of a scan (CSV), one HDF5 file that gives each frame its row."""
    from stream_service.core.stage_map import parse_stage_map
    from stream_service.run.recorded.make_sidecar import make_sidecar

    references = {"dark": dark, "flat": flat, "mask": mask}
    summary = make_sidecar(
        frames,
        csv,
        output,
        aliases=pairs_of(column, "--column"),
        units=pairs_of(unit, "--unit"),
        match=match,
        row_offset=row_offset,
        references={kind: location for kind, location in references.items() if location},
        stage_map=parse_stage_map(stage_map) if stage_map else None,
        also=AlsoBelow(tuple(also_below or ())),
        force=force,
    )
    for warning in summary.warnings:
        console.print(WARNING, warning, soft_wrap=True)
    said = (
        f"{output}: {summary.n_pairs} of {counted(summary.n_rows, 'row')} with {summary.n_pairs} of "
        f"{counted(summary.n_frames, 'frame')}, matched by {summary.matched_by.value}; "
    )
    said += "".join(f"{source}; " for source in summary.sources) + "positions are "
    said += f"a stage's, mapped by {stage_map} to the beam on the sample" if stage_map else "the beam on the sample"
    console.print(said, soft_wrap=True)
