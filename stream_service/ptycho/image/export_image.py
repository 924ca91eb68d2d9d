"""Object and probe of a reconstruction file, for those who want them with the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError, SourceError
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.ptycho.image.image_file import IMAGE
from stream_service.ptycho.optics.probe_file import ILLUMINATION

Complex = npt.NDArray[np.complex64]
PIXEL_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredImage:
    """`image_1` of `<scan>_recon.cxi`."""

    object: Complex
    """(ny, nx)"""
    probe: Complex
    """(modes, n, n)"""
    pixel_yx_m: tuple[float, float]
    first_yx_m: tuple[float, float]
    """Where on the sample the middle of object[0, 0] is."""

    @classmethod
    def read(cls, path: Path, also: AlsoBelow = NOWHERE_ELSE) -> Self:
        """Raises `SourceError` for another kind of file."""
        try:
            with open_hdf5(path, also).file as file:
                image: Any = file[IMAGE]
                x_m, y_m, _ = image["first_pixel_position"][()]
                return cls(
                    object=np.asarray(image["data"], np.complex64),
                    probe=np.asarray(file[ILLUMINATION], np.complex64),
                    pixel_yx_m=(float(image["y_pixel_size"][()]), float(image["x_pixel_size"][()])),
                    first_yx_m=(float(y_m), float(x_m)),
                )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{path} is not a reconstruction (<scan>_recon.cxi): {error}") from error

    def check_fit(self, side: int, pixel_yx_m: tuple[float, float]) -> None:
        """Raises `ConfigError` if it is of frames of another size or geometry."""
        same = np.allclose(self.pixel_yx_m, pixel_yx_m, rtol=PIXEL_TOLERANCE)
        if self.probe.shape[-2:] != (side, side) or not same:
            raise ConfigError(
                f"the reconstruction has a probe of {self.probe.shape[-2]} x {self.probe.shape[-1]} pixels of "
                f"{self.pixel_yx_m[0] * 1e9:.4g} nm, the frames give {side} x {side} of {pixel_yx_m[0] * 1e9:.4g} nm: "
                "it is of another scan, or of another ROI"
            )

    def patch(self, x_m: float, y_m: float, side: int) -> Complex:
        """(side, side) what the beam at this place sees, to the nearest pixel; 1 beyond the object."""
        row = round((y_m - self.first_yx_m[0]) / self.pixel_yx_m[0]) - side // 2
        column = round((x_m - self.first_yx_m[1]) / self.pixel_yx_m[1]) - side // 2
        padded = np.pad(self.object, side, constant_values=1)
        row, column = (min(max(at + side, 0), n - side) for at, n in zip((row, column), padded.shape, strict=True))
        return padded[row : row + side, column : column + side]
