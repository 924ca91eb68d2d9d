"""From raw exposures to stored frames: corrections, geometry, reduction. Pure numpy and numba, no transport, no clock.

`reference.py` is the definition in plain numpy; `FrameReducer` gives the same frames, bit for bit, in one pass over the
pixels.
"""

from stream_service.kernels.correction import CorrectionError, Corrections
from stream_service.kernels.flat import FlatKind, recognise_flat
from stream_service.kernels.fused import FrameReducer
from stream_service.kernels.gaps import FIRST_FRAMES, Gaps, GapSetting, find_gaps, may_have_gaps
from stream_service.kernels.geometry import Geometry, GeometryError, parse_center
from stream_service.kernels.raw_frames import RAW_DTYPES
from stream_service.kernels.reduction import FrameSummary, Grouping, ReducedRows
from stream_service.kernels.stored_frames import measure_rows

__all__ = [
    "FIRST_FRAMES",
    "RAW_DTYPES",
    "CorrectionError",
    "Corrections",
    "FlatKind",
    "FrameReducer",
    "FrameSummary",
    "GapSetting",
    "Gaps",
    "Geometry",
    "GeometryError",
    "Grouping",
    "ReducedRows",
    "find_gaps",
    "may_have_gaps",
    "measure_rows",
    "parse_center",
    "recognise_flat",
]
