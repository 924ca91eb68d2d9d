"""`ptychostream init`: the folder of a new beamline, to be filled in."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from stream_service.text.counted import agrees, counted
from stream_service.text.terminal import console

EPILOG = "Examples: ptychostream init my-beamline --prefix BL1: --name 'Beamline 1';   ptychostream init"


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where; made if it is not there.")] = Path("."),
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="Prefix of the beamline's PVs; placeholders if not given.")
    ] = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the beamline.")] = "my beamline",
) -> None:
    """Make the folder of a new beamline: profile, NDAttributes, layouts. Nothing that exists is overwritten."""
    from stream_service.settings.beamline_folder import make_beamline_folder
    from stream_service.settings.placeholders import find_placeholders
    from stream_service.settings.profile_file import load_profile

    profile, attributes, layout, *others = make_beamline_folder(folder, prefix, name)
    n_open = len(find_placeholders(load_profile(profile)))
    console.print(
        f"{folder}: {', '.join(path.name for path in (profile, attributes, layout, *others))}\n\nnext:", soft_wrap=True
    )
    ready = layout.with_name("layout.xml")
    look = f'go through {profile} and {attributes}: the lines marked "measure" and "look"'
    look += f"; {counted(n_open, 'PV')} still {agrees(n_open, 'begins')} with PLACEHOLDER:" if n_open else ""
    commands = (
        ("layout", "render", layout, "--profile", profile, "--output", ready),
        ("layout", "lint", ready, "--attributes", attributes, "--swmr"),
        ("check", profile),
        ("run", profile, "--data-root", "data"),
    )
    steps = [look, *(shlex.join(["ptychostream", *map(str, words)]) for words in commands)]
    steps[1] += f"   (and name it in {profile}: raw_file.layout)"
    for number, step in enumerate(steps, 1):
        console.print(f"  {number}. {step}", soft_wrap=True, highlight=False)
