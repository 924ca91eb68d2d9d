"""The fused numba kernel: from the raw frames of a block of rows to stored frames, in one pass over the pixels.

It computes what `reference.py` defines, with the same float operations in the same order. All rows of the block go
through the same `TILE` raw lines before the next ones, so that dark, flat and mask are read once for the block: at
1024² they are as large as three frames. Between two lines nothing is kept but what fits in the first-level cache.
Transposed frames are written a tile at a time, one cache line after the other (`passes`).

A setting that is off is a neutral number (dark 0, 1/flat 1, cap +inf, floor -inf), and a reference whose lines are all
alike is passed as one line, so it costs no memory traffic. numba compiles once per raw dtype. Lines of which no more is
asked than correction and sum are reduced in registers (`line_in_registers`), all others in memory (`line_in_memory`, by
`line_steps`), to the same bits. A feature of a row is measured in `line_in_registers`, which sees each line once, in
raw axes, bad pixels as 0, and entered in its record in `measuring`. Its sums run in `LANES` parts side by side:
vectorised without reordering, so every machine gets the same bits.

The machine code is kept on disk (`kernels/machine_code.py`): a start then takes 0.2 s instead of several. Everything
that is compiled stands in this folder. Loops count in unsigned integers (`uintp`): numba then knows that no index
counts from the end, and they vectorise.
"""

from stream_service.kernels.pixelpass.line_in_memory import N_LINES
from stream_service.kernels.pixelpass.line_in_registers import N_SUMS
from stream_service.kernels.pixelpass.measuring import N_COLUMN_SUMS
from stream_service.kernels.pixelpass.passes import TILE, measure_pixels, reduce_pixels
from stream_service.kernels.pixelpass.vectors import LANES

__all__ = ["LANES", "N_COLUMN_SUMS", "N_LINES", "N_SUMS", "TILE", "measure_pixels", "reduce_pixels"]
