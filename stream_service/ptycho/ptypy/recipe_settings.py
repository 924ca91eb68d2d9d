"""Settings of a reconstruction: choices, places of its output, and the state it goes on from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stream_service.errors import ConfigError

ENGINES = ("DM", "RAAR", "EPIE", "SDR", "ML")
"""Of PtyPy 0.9; its accelerated ones are named after them, as DM_serial."""
ENGINE_NAME = re.compile(rf"({'|'.join(ENGINES)})(_[A-Za-z0-9_]+)?")
NOT_IN_A_RUN = re.compile(r"[^\w.\-]")
LONGEST_RUN = 60
"""Characters: with the endings of its files a name has 255 bytes at most, on every file system."""
POLISH_SHARE = 5
"""One iteration in five is ML's: it takes noise for what it is, once DM has found the image."""


@dataclass(frozen=True, slots=True)
class RecipeSettings:
    """Choices of the user for a reconstruction. Raises `ConfigError` for what PtyPy could not do."""

    engine: str = "DM"
    """One of PtyPy's; any but ML is followed by ML for the last fifth of the iterations."""
    iterations: int = 100
    """Of all engines together."""
    n_polish: int | None = None
    """How many of them are ML's at the end, if not the last fifth."""
    n_modes: int = 1
    """Incoherent modes of the probe."""
    refine_positions: bool = False
    gpu: bool = False

    def __post_init__(self) -> None:
        if not ENGINE_NAME.fullmatch(self.engine):
            raise ConfigError(f"engine {self.engine!r} is not an engine of PtyPy: {', '.join(ENGINES)}, DM_serial ...")
        if self.gpu and self.engine not in ENGINES:
            raise ConfigError(f"PtyPy has no engine {self.engine} for a GPU; it has {', '.join(ENGINES)}")

    @property
    def stages(self) -> tuple[tuple[str, int], ...]:
        """(engine, iterations), in order."""
        n_polish = self.iterations // POLISH_SHARE if self.n_polish is None else self.n_polish
        n_polish = 0 if self.engine.startswith("ML") else min(n_polish, self.iterations)
        stages = ((self.engine, self.iterations - n_polish), ("ML", n_polish))
        suffix = "_cupy" if self.gpu else ""
        return tuple((name + suffix, n) for name, n in stages if n)


@dataclass(frozen=True, slots=True)
class Output:
    """Places of a reconstruction's output. PtyPy on its own would leave folders wherever it was started."""

    folder: Path
    run: str
    """Names the files: letters, digits, `_`, `.` and `-`; anything else becomes `_`."""
    dump_interval: int = 0
    """Iterations between two dumps of the present state; 0 = none."""

    def __post_init__(self) -> None:
        # it goes into patterns of PtyPy (%) and into those by which its files are found (*, [)
        object.__setattr__(self, "run", NOT_IN_A_RUN.sub("_", self.run)[:LONGEST_RUN])

    @property
    def results(self) -> str:
        """Pattern of the results, one per engine."""
        return f"{self.run}_*.ptyr"

    @property
    def dumps(self) -> str:
        """Pattern of the dumps."""
        return f"{self.run}.dump_*.ptyr"


@dataclass(frozen=True, slots=True)
class Start:
    """A reconstruction from which another goes on."""

    ptyr: Path
    same_rows: bool
    """It had the very rows that are there now. If not, its object lies on another grid, and only its probe is taken."""
