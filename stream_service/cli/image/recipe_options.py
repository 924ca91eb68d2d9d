"""The options of `recipe` and `reconstruct`: the reconstruction that is wanted, and the probe that it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.settings.option import ALSO_BELOW, option

if TYPE_CHECKING:
    from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings
    from stream_service.ptycho.ptypy.scan_choices import ScanChoices


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOptions:
    """Options of both commands."""

    engine: str = option("PtyPy's engine; ML does the last fifth.", metavar="DM|RAAR|EPIE|ML|...", default="DM")
    iters: int = option("Iterations in all.", min=1, default=100)
    modes: int = option("Incoherent modes of the probe.", min=1, default=1)
    refine_positions: bool = option("Correct the positions, too.", "--refine-positions", default=False)
    gpu: bool = option("PtyPy's engines for CUDA (needs cupy).", "--gpu", default=False)
    probe: Path | None = option("First probe: of `ptychostream probe`, or a reconstruction's.", metavar="FILE")
    estimate_probe: bool = option(
        "First probe from the frames, whatever the optics in FILE.", "--estimate-probe", default=False
    )
    near_field: bool | None = option("Propagation, instead of what FILE says.", "--near-field/--far-field")
    defocus: float | None = option("Focus to sample in metres, + = sample downstream; likewise.", metavar="M")
    also_below: list[Path] | None = option(ALSO_BELOW, metavar="FOLDER")
    force: bool = option("Replace an existing output.", "--force", default=False)

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
