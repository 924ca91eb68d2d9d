"""PtyPy's own result files (`.ptyr`), results and dumps alike, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.sources.tables.recorded_units import text_of

Complex = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ptyr:
    """Object and probe of one scan, as PtyPy left them."""

    object: Complex
    """(ny, nx); rows grow with +y and columns with +x of the beam on the sample."""
    probe: Complex
    """(modes, n, n), centred at n // 2; |probe|^2 in counts."""
    pixel_yx_m: tuple[float, float]
    """Of both."""
    origin_yx_m: tuple[float, float]
    """Where on the sample the middle of object[0, 0] is."""
    engines: tuple[str, ...]
    """Engine of each iteration of which an error is known."""
    errors: Floats
    """(iterations, 3): PtyPy's Fourier, photon and exit-wave error; 0 where an engine has none.

    A dump has those of its last iteration only."""
    positions_yx_m: Floats | None
    """(rows, 2) after refinement, of the rows that were used; None if they were not refined."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `SourceError` for a file that is not one, or is not whole yet."""
        try:
            with h5py.File(path, "r", locking=False) as file:
                return cls._from_content(file["content"])
        except (OSError, KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
            raise SourceError(f"{path} is not a whole result of PtyPy: {error}") from error

    @classmethod
    def _from_content(cls, content: Any) -> Self:
        # one scan, so one storage each; their names are PtyPy's own business
        image, probe = (next(iter(content[kind].values())) for kind in ("obj", "probe"))
        history = list(content["runtime/iter_info"].values())
        recorded = content.get("positions")
        return cls(
            object=np.asarray(image["data"])[0].astype(np.complex64),
            probe=np.asarray(probe["data"]).astype(np.complex64),
            pixel_yx_m=_pair(image["_psize"]),
            origin_yx_m=_pair(image["_origin"]),
            engines=tuple(text_of(entry["engine"][()]) for entry in history),
            errors=np.array([np.asarray(entry["error"], np.float64) for entry in history]).reshape(-1, 3),
            positions_yx_m=None if recorded is None else np.asarray(next(iter(recorded.values())), np.float64),
        )

    @property
    def n_iterations(self) -> int:
        """Iterations of which an error is known."""
        return len(self.errors)


def _pair(dataset: Any) -> tuple[float, float]:
    first, second = np.asarray(dataset, np.float64)
    return float(first), float(second)
