"""`ptychostream ingest`: recorded files through the same pipeline as live frames."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream_service.errors import ConfigError

app = typer.Typer(help="Make a standard file of a recorded one.", no_args_is_help=True)
console = Console()


class Grouping(StrEnum):
    """How the exposures of a position become one row."""

    SUM = "sum"
    MEAN = "mean"
    FIRST = "first"
    BEST = "best"
    NONE = "none"


class Flip(StrEnum):
    """Mirroring after the rotation."""

    NONE = "none"
    H = "h"
    V = "v"
    HV = "hv"


class BadPixels(StrEnum):
    """What becomes of bad pixels' values."""

    KEEP = "keep"
    INTERPOLATE = "interpolate"


class Negatives(StrEnum):
    """What becomes of values below zero."""

    CLIP = "clip"
    KEEP = "keep"


@app.command(
    epilog="Example: ptychostream ingest hdf5 --input scan001.h5 --output scan001_std.h5 "
    "--frames-per-pos 3 --grouping sum --roi 1024,1024 --roi-center 0.5,0.5 --rotate 90 --flip h --sat 65000"
)
def hdf5(
    input_file: Annotated[Path, typer.Option("--input", help="CXI (/entry_1) or /entry file.")],
    output: Annotated[Path, typer.Option(help="Standard file to make.")],
    frames_per_pos: Annotated[int, typer.Option(min=1, help="Exposures at each scan position.")] = 1,
    grouping: Annotated[Grouping, typer.Option(help="How they become one row.")] = Grouping.SUM,
    roi: Annotated[str | None, typer.Option(metavar="NY,NX", help="Rows and columns kept, in raw axes.")] = None,
    roi_center: Annotated[
        str | None, typer.Option(metavar="CY,CX", help="Centre of the ROI: pixels, or fractions such as 0.5,0.5.")
    ] = None,
    rotate: Annotated[int, typer.Option(metavar="0|90|180|270", help="Counter-clockwise, before the flip.")] = 0,
    flip: Annotated[Flip, typer.Option(help="h: left-right, v: up-down.")] = Flip.NONE,
    sat: Annotated[float | None, typer.Option(help="Raw value from which a pixel is saturated.")] = None,
    sat_fraction: Annotated[float, typer.Option(help="Mask pixels saturated in more than this fraction.")] = 0.0,
    dark: Annotated[str | None, typer.Option(help="Dark: .npy, .npz, or FILE.h5:/dataset.")] = None,
    flat: Annotated[str | None, typer.Option(help="Flat, likewise.")] = None,
    mask: Annotated[str | None, typer.Option(help="Mask, likewise; 0 = good.")] = None,
    bin_: Annotated[int, typer.Option("--bin", min=1, help="Raw pixels per stored pixel on each axis.")] = 1,
    bad_pixels: Annotated[BadPixels, typer.Option(help="Values of bad pixels.")] = BadPixels.KEEP,
    gain: Annotated[float, typer.Option(help="ADU per photon; divides.")] = 1.0,
    negatives: Annotated[Negatives, typer.Option(help="Values below 0 after the dark.")] = Negatives.CLIP,
    energy_ev: Annotated[float | None, typer.Option("--energy-eV", help="If the file lacks it or is wrong.")] = None,
    det_dist_m: Annotated[float | None, typer.Option(help="If the file lacks it or is wrong.")] = None,
    pixel_m: Annotated[float | None, typer.Option(help="If the file lacks it or is wrong.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
) -> None:
    """From an HDF5 file: CXI, or the /entry schema."""
    from stream_service.service.ingest import Facts, ingest_hdf5
    from stream_service.service.status import describe_account
    from stream_service.sources.references import load_reference

    preprocessing = _preprocessing(
        frames_per_position=frames_per_pos,
        grouping=grouping.value,
        roi=_two_numbers(roi, "--roi") if roi else None,
        roi_center=roi_center,
        rotate=rotate,
        flip=flip.value,
        sat=sat,
        sat_fraction=sat_fraction,
        bin=bin_,
        bad_pixels=bad_pixels.value,
        gain=gain,
        negatives=negatives.value,
    )
    given = {"dark": dark, "flat": flat, "mask": mask}
    references = {kind: load_reference(location, kind) for kind, location in given.items() if location}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{input_file.name} → {output.name}", total=None)
        account = ingest_hdf5(
            input_file,
            output,
            preprocessing,
            references,
            Facts(energy_ev, det_dist_m, pixel_m),
            force=force,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    rows = account.stored // (1 if grouping is Grouping.NONE else frames_per_pos)
    console.print(f"{output}: {describe_account(account, (), rows)}", soft_wrap=True)


def _preprocessing(**options: Any) -> Any:
    from stream_service.config import Preprocessing, explain

    try:
        return Preprocessing(**options)
    except ValidationError as error:
        raise ConfigError(f"these options cannot be:\n{explain(error)}") from error


def _two_numbers(text: str, option: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if not found:
        raise ConfigError(f"{option} {text!r}: give two whole numbers, rows and columns, such as 512,512")
    return int(found[1]), int(found[2])
