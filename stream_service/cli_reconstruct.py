"""`ptychostream recipe` and `ptychostream reconstruct`: a PtyPy script for a standard file, and PtyPy supervised."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from stream_service.cli_options import OUTPUT, AlsoBelowOption, shares_options
from stream_service.counted import counted
from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.terminal import NOTE, console

if TYPE_CHECKING:
    from stream_service.ptycho.recipe_settings import RecipeSettings
    from stream_service.ptycho.scan_choices import ScanChoices


PREFIX = "PTYCHO:Recon:"
"""Below the daemon's own."""

DataArgument = Annotated[Path, typer.Argument(help="A standard file (<scan>_std.h5).", metavar="FILE")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the two commands have in common."""

    engine: Annotated[
        str,
        typer.Option(metavar="DM|RAAR|EPIE|ML|...", help="PtyPy's engine; ML does the last fifth."),
    ] = "DM"
    iters: Annotated[int, typer.Option(min=1, help="Iterations in all.")] = 100
    modes: Annotated[int, typer.Option(min=1, help="Incoherent modes of the probe.")] = 1
    refine_positions: Annotated[bool, typer.Option("--refine-positions", help="Correct the positions, too.")] = False
    gpu: Annotated[bool, typer.Option("--gpu", help="PtyPy's engines for CUDA (needs cupy).")] = False
    probe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="First probe: of `ptychostream probe`, or a reconstruction's.")
    ] = None
    estimate_probe: Annotated[
        bool, typer.Option("--estimate-probe", help="First probe from the frames, whatever the optics in FILE.")
    ] = False
    near_field: Annotated[
        bool | None, typer.Option("--near-field/--far-field", help="Instead of what FILE says of its optics.")
    ] = None
    defocus: Annotated[
        float | None, typer.Option(metavar="M", help="Focus to sample in metres, + = sample downstream; likewise.")
    ] = None
    also_below: AlsoBelowOption = None
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False

    def settings(self) -> RecipeSettings:
        """Raises `ConfigError` for what PtyPy could not do."""
        from stream_service.ptycho.recipe_settings import RecipeSettings

        return RecipeSettings(
            self.engine, self.iters, n_modes=self.modes, refine_positions=self.refine_positions, gpu=self.gpu
        )

    def choices(self) -> ScanChoices:
        """What is chosen of the scan and its probe. Raises `ConfigError`."""
        from stream_service.ptycho.scan_choices import ScanChoices

        if self.probe is not None and self.estimate_probe:
            raise ConfigError("--probe and --estimate-probe: give one of them")
        also = AlsoBelow(tuple(self.also_below or ()))
        return ScanChoices(self.probe, self.estimate_probe, self.near_field, self.defocus, also)


@shares_options
def recipe(
    file: DataArgument,
    options: Options,
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="The script; <scan>_recipe.py beside FILE if not given.")
    ] = None,
) -> None:
    """Write a complete PtyPy script for a standard file: readable, yours to change. PtyPy is not needed for that."""
    from stream_service.ptycho.recipe import write_recipe

    out = out or file.with_name(file.stem.removesuffix("_std") + "_recipe.py")
    for remark in write_recipe(file, out, options.settings(), options.choices(), force=options.force):
        console.print(NOTE, remark, soft_wrap=True)
    console.print(f"{out}: run it with a Python that has PtyPy", soft_wrap=True)


@shares_options
def reconstruct(
    file: DataArgument,
    options: Options,
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="The image; <scan>_recon.cxi beside FILE if not given.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="FILE is still being written, or not there yet: reconstruct as it grows.")
    ] = False,
    patience_s: Annotated[float, typer.Option(min=1, help="For --follow: how long to wait for FILE.")] = 3600.0,
    publish: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX", help="Show object and probe as PVA images; with --follow PTYCHO:Recon: if not given."
        ),
    ] = None,
    ptypy_python: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="PTYCHOSTREAM_PTYPY_PYTHON", help="The Python that has PtyPy."),
    ] = None,
) -> None:
    """Reconstruct with PtyPy: image, probe, errors, pictures. Exit code 1: it failed, or the scan is not COMPLETE."""
    from stream_service.cli_reconstruct_progress import Shown
    from stream_service.core.run import RunState
    from stream_service.errors import WriteError
    from stream_service.output_file import check_output
    from stream_service.ptycho.follow import follow as follow_run
    from stream_service.ptycho.image_file import default_image_path
    from stream_service.ptycho.ptypy_python import PtypyPython
    from stream_service.ptycho.reconstruct import Request, prepare
    from stream_service.ptycho.reconstruct import reconstruct as reconstruct_file
    from stream_service.ptycho.run_watch import Patience

    if follow and options.refine_positions:
        raise ConfigError("--refine-positions needs the complete scan: use it without --follow when the scan has ended")
    out, choices = out or default_image_path(file), options.choices()
    # what is wrong with the files is said first: PtyPy takes longer to be put right
    check_output(out, force=options.force, inputs=(file, *choices.files), option="--output", error=WriteError)
    state = "" if follow else choices.read_scan(file).state
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
            followed = follow_run(request, shown, Patience(patience_s))
            outcome, sentence, is_complete = followed.outcome, followed.sentence, followed.is_complete
        else:
            outcome = reconstruct_file(request, shown)
            is_complete = state in ("", RunState.COMPLETE)
            sentence = "" if is_complete else f"the scan in {file} is {state}: the image is of the rows that are there"
    if sentence:
        console.print(Text(sentence, "green" if is_complete else "red"), soft_wrap=True)
    console.print(
        f"{outcome.image}: {counted(outcome.n_rows, 'row')}, {counted(outcome.n_iterations, 'iteration')}, "
        f"photon error "
        f"{outcome.photon_error:.4g}; pictures in {outcome.pictures[0].parent}",
        soft_wrap=True,
    )
    raise typer.Exit(int(not is_complete))
