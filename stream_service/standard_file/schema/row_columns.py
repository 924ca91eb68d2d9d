"""The datasets that grow by one entry per row."""

from __future__ import annotations

import numpy as np

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import FLAG_CODES, STATUS_CODES, codes_as_text
from stream_service.standard_file.schema.spec import DatasetSpec


def row_column_specs(frame_shape: tuple[int, int], frames_per_row: int) -> tuple[DatasetSpec, ...]:
    """Every dataset whose first axis is the row; `data` comes first."""
    k = (frames_per_row,)
    f4, f8, i4, i8 = (np.dtype(t) for t in (np.float32, np.float64, np.int32, np.int64))
    u1, u2, u4 = (np.dtype(t) for t in (np.uint8, np.uint16, np.uint32))
    status_codes = {"codes": codes_as_text(STATUS_CODES)}
    return (
        DatasetSpec(
            paths.CXI_DATA,
            "Diffraction patterns, corrected as /entry/process/settings says.",
            f4,
            frame_shape,
            units="counts",
            links=(paths.DATA,),
            attributes={"axes": "translation:y:x", "interpretation": "image"},
            chunk_rows=1,
        ),
        DatasetSpec(
            paths.TRANSLATION,
            "Translation of the sample as CXI defines it, x y z: minus the position of the beam on the sample.",
            f8,
            (3,),
            units="m",
            links=(f"{paths.DETECTOR}/translation",),
        ),
        DatasetSpec(paths.POS, "Position of the beam on the sample, x and y.", f8, (2,), units="m"),
        DatasetSpec(paths.POS_X, "Position of the beam on the sample, x.", f8, units="m"),
        DatasetSpec(paths.POS_Y, "Position of the beam on the sample, y.", f8, units="m"),
        DatasetSpec(paths.KEEP, "1 = use this row, 0 = leave it out (PtyPy's framefilter).", u1),
        DatasetSpec(
            f"{paths.FRAMES}/unique_id", "uniqueId of each frame of the row; -1 = unused slot.", i8, k, fill=-1
        ),
        DatasetSpec(f"{paths.FRAMES}/epoch", "Which counting of the detector; -1 = unused slot.", i4, k, fill=-1),
        DatasetSpec(
            f"{paths.FRAMES}/timestamp_ns", "Detector's stamp of each frame, since 1970 UTC.", i8, k, units="ns"
        ),
        DatasetSpec(f"{paths.FRAMES}/status", "What became of each frame of the row.", u1, k, attributes=status_codes),
        DatasetSpec(f"{paths.FRAMES}/n_frames", "Frames that went into the row.", u2),
        DatasetSpec(f"{paths.FRAMES}/energy_eV", "Photon energy during the row.", f8, units="eV"),
        DatasetSpec(f"{paths.FRAMES}/exposure_s", "Exposure time of the row in all.", f8, units="s"),
        DatasetSpec(f"{paths.FRAMES}/replaces", "The row that this one repeats; -1 = none.", i8, fill=-1),
        DatasetSpec(
            f"{paths.FRAMES}/flags",
            "Why a value of the row is not to be trusted, bit by bit; 0 = all is well.",
            u4,
            attributes={"codes": codes_as_text(FLAG_CODES)},
        ),
        DatasetSpec(f"{paths.FEATURES}/intensity", "Sum of the good pixels.", f8, units="counts"),
        DatasetSpec(f"{paths.FEATURES}/com_y", "Centre of mass of the good pixels, row.", f8, units="pixel"),
        DatasetSpec(f"{paths.FEATURES}/com_x", "Centre of mass of the good pixels, column.", f8, units="pixel"),
        DatasetSpec(f"{paths.FEATURES}/n_saturated", "Pixels saturated in any frame of the row.", u4),
    )
