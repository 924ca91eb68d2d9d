"""The process that reads a file for `SalvagedRows`: first all but features and pixels, then blocks of rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.lib.recfunctions import drop_fields

from stream_service.errors import SourceError
from stream_service.hdf5.opening import open_cut
from stream_service.processes.answering import answer_questions
from stream_service.processes.limited import limit_this_process
from stream_service.standard_file.repair.left_writer import check_is_left
from stream_service.standard_file.repair.salvage import Salvage, salvage
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import LEDGER_COUNTS
from stream_service.standard_file.schema.contents import text_in
from stream_service.standard_file.schema.ledger_columns import count_path
from stream_service.standard_file.schema.row_columns import rows_of

MEMORY_BYTES = 4 << 30
"""Of the process: the columns of 1,000,000 rows, most of it `cells`, and a copy where some rows are lost."""
BLOCK_ROWS = 4096
OUTPUT_BYTES = 1 << 20
"""Of its standard error."""

Answered = tuple[Mapping[str, Any], Mapping[str, np.ndarray[Any, Any]]]


class _Reader:
    """One file, once it has been asked for."""

    def __init__(self) -> None:
        self._found: Salvage | None = None

    def answer(self, question: Mapping[str, Any]) -> Answered:
        """Answer a question of `SalvagedRows`."""
        if self._found is None:
            self._found = _salvaged(Path(question["path"]), question["is_left"])
            return _overview(self._found)
        start, stop = question["start"], question["stop"]
        rows = rows_of({path: values[start:stop] for path, values in self._found.columns.items()})
        return {}, {"rows": rows, "pixels": self._found.frames(start, stop)}


def _salvaged(path: Path, is_left: bool) -> Salvage:
    file = open_cut(path)
    if not file.is_standard:
        raise SourceError(f"{path} is not a standard file")
    if not is_left:
        check_is_left(file)
    return salvage(file)


def _overview(found: Salvage) -> Answered:
    file = found.file
    data: Any = file[paths.CXI_DATA]
    facts: dict[str, Any] = {
        "n_announced": found.n_announced,
        "scan_id": _text(found, paths.SCAN_ID),
        "state": _text(found, paths.STATE),
        "end_reason": _text(found, paths.END_REASON),
        "message": _text(found, paths.MESSAGE),
        "settings": _text(found, paths.SETTINGS),
        "start_timestamp_ns": _whole(found, paths.START_TIMESTAMP),
        "frame_shape": data.shape[1:],
        "counts": {name: _whole(found, count_path(file, name)) for name in LEDGER_COUNTS},
    }
    arrays = {"rows": _without_features(found)}
    channels = []
    for path, values in found.readbacks.items():
        name, part = path.removeprefix(f"{paths.READBACKS}/").rsplit("/", 1)
        arrays[f"{part} {name}"] = values
        if part == "value":
            channels.append(name)
    for name, path in (("mask", paths.CXI_MASK), ("pixel_mask", paths.PIXEL_MASK)):
        if isinstance(image := file.get(path), h5py.Dataset):
            arrays[name] = np.asarray(image)
    planned = [file.get(path) for path in (paths.PLANNED_X, paths.PLANNED_Y)]
    if all(isinstance(axis, h5py.Dataset) for axis in planned):
        arrays["planned_m"] = np.stack([np.asarray(axis) for axis in planned], axis=1)
    return facts | {"channels": channels}, arrays


def _without_features(found: Salvage) -> np.ndarray[Any, Any]:
    """The rows block by block: the features of all of them would be most of the memory."""
    blocks = (
        rows_of({path: values[start : start + BLOCK_ROWS] for path, values in found.columns.items()})
        for start in range(0, max(1, len(found.rows)), BLOCK_ROWS)
    )
    return np.concatenate([drop_fields(block, "features", usemask=False) for block in blocks])


def _text(found: Salvage, path: str) -> str:
    return text_in(found.file.get(path)) or ""  # type: ignore[arg-type]


def _whole(found: Salvage, path: str) -> int:
    number: Any = found.file.get(path)
    return int(number[()]) if isinstance(number, h5py.Dataset) else 0


if __name__ == "__main__":
    limit_this_process(MEMORY_BYTES, OUTPUT_BYTES)
    answer_questions(_Reader().answer)
    sys.exit(0)
