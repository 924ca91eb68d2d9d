"""`ptychostream probe`: the first probe of a scan, as a file and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, AlsoBelowOption, DefocusOption, ForceOption, StandardFileArgument
from stream_service.hdf5.targets import AlsoBelow
from stream_service.text.terminal import console, show_notes

EPILOG = (
    "Examples: ptychostream probe demo_std.h5 --output demo_probe.cxi;   "
    "ptychostream probe demo_std.h5 --output demo_estimate.cxi --estimate"
)


def probe(
    file: StandardFileArgument,
    out: Annotated[Path, typer.Option(*OUTPUT, help="CXI file to make; the picture goes beside it.")],
    defocus: DefocusOption = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="From the frames, instead of from the optics in FILE.")
    ] = False,
    also_below: AlsoBelowOption = None,
    force: ForceOption = False,
) -> None:
    """Compute the wave on the sample, from the optics or from the frames, as CXI's source_1/illumination."""
    from stream_service.output_file import check_is_no_input, check_output
    from stream_service.ptycho.image.image_pictures import draw_probe
    from stream_service.ptycho.optics.probe_file import write_probe
    from stream_service.ptycho.ptypy.scan_choices import ScanChoices

    picture = out.with_suffix(".png")
    check_output(out, force=force, inputs=[file])
    check_is_no_input(picture, [file, out], "the picture of --output")
    choices = ScanChoices(estimate_probe=estimate, defocus_m=defocus, also=AlsoBelow(tuple(also_below or ())))
    scan = choices.read_scan(file)
    show_notes(scan.notes)
    wave, about = choices.first_probe(scan)
    write_probe(out, scan, wave, about, force=force)
    draw_probe(wave, scan.sample_pixel_yx_m((scan.square_px, scan.square_px)), picture)
    console.print(f"{about}\n{out} and {picture}", soft_wrap=True)
