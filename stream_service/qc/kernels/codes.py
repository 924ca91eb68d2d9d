"""Numbers that the kernels and the rest of the judgement share: columns of the values of a row, and codes.

Those of `core.reason` are spelled once more, since machine code is of this folder alone; a test holds them together.
"""

from __future__ import annotations

LOG_INTENSITY, COM_Y, COM_X, LOG_CONTRAST, LOG_FINE, LOG_MAX, ZERO_SHARE, LOG_SATURATED, LOWER, RIGHT = range(10)
"""Columns of the values of a row; those of the rings and of the embedding follow."""

POSITION, REPEATED, ENERGY, SHUTTER, RING_CURRENT, SATURATED, PARTIAL = range(1, 8)
INTENSITY, HALF_DARK, CENTRE, HOT, CLIPPED, FINE, CONTRAST, EMPTY_PIXELS, PATTERN = range(8, 17)
"""Of `Reason`."""

UPPER_SIDE, LOWER_SIDE, LEFT_SIDE, RIGHT_SIDE, MIDDLE_SIDE = range(5)
"""Of `Side`."""

BANDS = 16
"""Of rows and of columns of a frame, that may read nothing."""
