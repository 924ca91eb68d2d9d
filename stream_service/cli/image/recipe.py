"""`ptychostream recipe`: a PtyPy script for a standard file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.image.recipe_options import RecipeOptions
from stream_service.cli.options import OUTPUT, StandardFileArgument, shares_options
from stream_service.text.terminal import console, show_notes

EPILOG = "Examples: ptychostream recipe demo_std.h5;   ptychostream recipe demo_std.h5 --modes 2 --gpu --output try.py"


@shares_options
def recipe(
    file: StandardFileArgument,
    options: RecipeOptions,
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="The script; <scan>_recipe.py beside FILE if not given.")
    ] = None,
) -> None:
    """Write a complete PtyPy script for a standard file: readable, yours to change. PtyPy is not needed for that."""
    from stream_service.ptycho.ptypy.recipe import write_recipe

    out = out or file.with_name(file.stem.removesuffix("_std") + "_recipe.py")
    show_notes(write_recipe(file, out, options.settings(), options.choices(), force=options.force))
    console.print(f"{out}: run it with a Python that has PtyPy", soft_wrap=True)
