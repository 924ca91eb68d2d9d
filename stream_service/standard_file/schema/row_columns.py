"""The datasets that grow by one entry per row: the columns of a row, and what is made of them for others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from stream_service.core.row import FEATURES, FRAME_COLUMNS, KEEP, POSITION_COLUMNS, ROW_COLUMNS, Column, row_dtype
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import codes_as_text, names_of
from stream_service.standard_file.schema.spec import CHUNK_ROWS, DatasetSpec

PLACES: tuple[tuple[str, Column], ...] = (
    *zip((paths.POS_X, paths.POS_Y), POSITION_COLUMNS, strict=True),
    (paths.KEEP, KEEP),
    *((f"{paths.FRAMES}/{column.name}", column) for column in (*FRAME_COLUMNS, *ROW_COLUMNS)),
    *((f"{paths.FEATURES}/{column.name}", column) for column in FEATURES),
)
"""Path of each column."""
COLUMN_PATHS = (paths.POS, paths.TRANSLATION, *(path for path, _ in PLACES))
"""All that grows by rows, but the pixels."""
ARRAY_CHUNK_ROWS = 32
"""Of a column whose value is an array: 32 KiB with `cells`, 16 x 16 float32."""


def row_column_specs(frame_shape: tuple[int, int], frames_per_row: int) -> tuple[DatasetSpec, ...]:
    """Every dataset whose first axis is the row; `data` comes first."""
    f8 = np.dtype(np.float64)
    return (
        DatasetSpec(
            paths.CXI_DATA,
            "Diffraction patterns, corrected as /entry/process/settings says.",
            np.dtype(np.float32),
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
        *_column_specs(frames_per_row),
    )


def _column_specs(frames_per_row: int) -> Iterator[DatasetSpec]:
    for path, column in PLACES:
        yield DatasetSpec(
            path,
            column.about,
            np.dtype(column.dtype),
            (frames_per_row,) if column in FRAME_COLUMNS else column.shape,
            units=column.unit,
            attributes={"codes": codes_as_text(names_of(column.codes))} if column.codes is not None else {},
            fill=column.blank,
            chunk_rows=ARRAY_CHUNK_ROWS if column.shape else CHUNK_ROWS,
            is_optional=column.is_optional,
        )


def column_blocks(rows: np.ndarray[Any, Any]) -> Iterable[tuple[str, np.ndarray[Any, Any]]]:
    """Rows (n,) of `row_dtype` as the blocks of each dataset but `data`, by path; C-contiguous."""
    pos = np.stack([rows["x_m"], rows["y_m"]], axis=1)
    yield paths.POS, pos
    yield paths.TRANSLATION, translation(pos)
    for path, column in PLACES:
        yield path, np.ascontiguousarray((rows["features"] if column in FEATURES else rows)[column.name])


def rows_of(columns: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The rows (n,) of `row_dtype` that have these columns, by path: the inverse of `column_blocks`.

    Of an optional column that is not there each value is the blank; `KeyError` for any other.
    """
    n_rows, frames_per_row = columns[paths.UNIQUE_ID].shape
    rows = np.zeros(n_rows, row_dtype(frames_per_row))
    for path, column in PLACES:
        values = columns.get(path) if column.is_optional else columns[path]
        (rows["features"] if column in FEATURES else rows)[column.name] = column.blank if values is None else values
    return rows


def translation(pos: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(n, 3) motion of the sample that puts the beam at `pos` (n, 2). 0 stays 0, not -0."""
    return np.column_stack([0.0 - pos, np.zeros(len(pos))])
