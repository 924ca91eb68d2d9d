"""The options of `recipe` and `reconstruct`: the reconstruction that is wanted, and the probe that it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_service.cli.options import AlsoBelowOption
from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow

if TYPE_CHECKING:
    from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings
    from stream_service.ptycho.ptypy.scan_choices import ScanChoices

DataArgument = Annotated[Path, typer.Argument(help="A standard file (<scan>_std.h5).", metavar="FILE")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOptions:
    """Options of both commands."""

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
        bool | None, typer.Option("--near-field/--far-field", help="Propagation, instead of what FILE says.")
    ] = None
    defocus: Annotated[
        float | None, typer.Option(metavar="M", help="Focus to sample in metres, + = sample downstream; likewise.")
    ] = None
    also_below: AlsoBelowOption = None
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False

    def settings(self) -> RecipeSettings:
        """Raises `ConfigError` for what PtyPy could not do."""
        from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings

        return RecipeSettings(
            self.engine, self.iters, n_modes=self.modes, refine_positions=self.refine_positions, gpu=self.gpu
        )

    def choices(self) -> ScanChoices:
        """Choices of scan and probe. Raises `ConfigError`."""
        from stream_service.ptycho.ptypy.scan_choices import ScanChoices

        if self.probe is not None and self.estimate_probe:
            raise ConfigError("--probe and --estimate-probe: give one of them")
        also = AlsoBelow(tuple(self.also_below or ()))
        return ScanChoices(self.probe, self.estimate_probe, self.near_field, self.defocus, also)
