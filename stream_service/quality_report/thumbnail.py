"""A small picture of one frame, on a logarithmic scale."""

from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt

BAD_COLOUR = (0.5, 0.5, 0.5)


def thumbnail(pixels: npt.NDArray[np.generic], good: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.uint8]:
    """(y, x, 3) of a frame on a logarithmic scale, its longer side `size` pixels; bad pixels are grey."""
    factor = max(1, min(max(pixels.shape) // size, *pixels.shape))
    ny, nx = (length // factor * factor for length in pixels.shape)
    cut = good[:ny, :nx] & np.isfinite(pixels[:ny, :nx])
    blocks = (ny // factor, factor, nx // factor, factor)
    count = cut.reshape(blocks).sum(axis=(1, 3))
    total = np.where(cut, pixels[:ny, :nx], 0).astype(np.float64).reshape(blocks).sum(axis=(1, 3))
    mean = np.divide(total, count, out=np.zeros(total.shape), where=count > 0)
    values = np.log1p(np.maximum(mean, 0))
    brightest = float(values.max())
    colours = matplotlib.colormaps["inferno"](values / brightest if brightest > 0 else values)[..., :3]
    colours[count == 0] = BAD_COLOUR
    image = (colours * 255).round().astype(np.uint8)
    scale = size / max(image.shape[:2])
    rows, columns = (
        np.minimum((np.arange(max(1, round(length * scale))) / scale).astype(int), length - 1)
        for length in image.shape[:2]
    )
    return image[np.ix_(rows, columns)]
