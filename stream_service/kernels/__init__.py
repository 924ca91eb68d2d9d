"""From raw exposures to stored frames: corrections, geometry, reduction. Pure numpy and numba, no transport, no clock.

`reference.py` is the definition in plain numpy; `FrameReducer` gives the same bits in one pass over the pixels.
"""

from stream_service.kernels.correction import CorrectionError, Corrections
from stream_service.kernels.fused import RAW_DTYPES, FrameReducer
from stream_service.kernels.geometry import Geometry, GeometryError, parse_center
from stream_service.kernels.reduction import FrameSummary, Grouping

__all__ = [
    "RAW_DTYPES",
    "CorrectionError",
    "Corrections",
    "FrameReducer",
    "FrameSummary",
    "Geometry",
    "GeometryError",
    "Grouping",
    "parse_center",
]
