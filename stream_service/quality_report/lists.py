"""Files with the numbers of an evaluation: arrays, lists of rows, a table, and the JSON that `ingest` takes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
import numpy.typing as npt

from stream_service.output_file import whole_file
from stream_service.quality_report.evaluation import Evaluation
from stream_service.sources.hdf5.recording import Hdf5Recording
from stream_service.standard_file import write_error

COLUMNS = (
    *("index", "pos_x_m", "pos_y_m", "score", "in_mask", "rejected", "reason"),
    *("intensity", "stxm", "dpc_x_px", "dpc_y_px", "n_saturated", "keep"),
)
"""Of `qc_summary.csv`."""


@contextmanager
def output(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name once it is whole. Raises `WriteError`."""
    try:
        with whole_file(path) as unfinished, unfinished.open("xb") as file:
            yield file
    except OSError as error:
        raise write_error(path, "write it", error) from error


@contextmanager
def text_output(path: Path) -> Iterator[TextIO]:
    """The same for text. Raises `WriteError`."""
    with output(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield text


def write_arrays(folder: Path, evaluation: Evaluation) -> None:
    """`outlier_score.npy`, `stxm.npy`, `dpcx.npy`, `dpcy.npy`, all (n,), and the lists of rows."""
    arrays = {
        "outlier_score": evaluation.score,
        "stxm": evaluation.stxm,
        "dpcx": evaluation.dpc_x,
        "dpcy": evaluation.dpc_y,
        "accept_indices": evaluation.accept_indices,
        "reject_indices": evaluation.reject_indices,
        "mask_indices": evaluation.mask_indices,
    }
    for name, values in arrays.items():
        with output(folder / f"{name}.npy") as file:
            np.save(file, values)


def write_summary(folder: Path, evaluation: Evaluation) -> None:
    """`qc_summary.csv`: a line for each row."""
    table, reasons = evaluation.numbers, evaluation.reasons()
    numbers = [
        *(table["intensity"], evaluation.stxm, evaluation.dpc_x, evaluation.dpc_y),
        *(table["n_saturated"], table["keep"]),
    ]
    with text_output(folder / "qc_summary.csv") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        for row in range(evaluation.n_rows):
            lines.writerow(
                (
                    *(row, f"{table['x_m'][row]:.12g}", f"{table['y_m'][row]:.12g}", f"{evaluation.score[row]:.6f}"),
                    *(int(evaluation.evaluated[row]), int(evaluation.rejected[row]), reasons[row]),
                    *(f"{values[row]:.10g}" for values in numbers),
                )
            )


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """A JSON file that people can read."""
    with text_output(path) as file:
        json.dump(document, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def ptypy_document(recording: Hdf5Recording, evaluation: Evaluation) -> dict[str, Any]:
    """What `ptypy_indices.json` holds: where frames and positions are, and which rows to take.

    `reject_positions`, if frames are lost or late, has the places of the rejected rows in the scan, for `ingest`.
    """
    read_from, places = recording.read_from, _places_in_scan(recording)
    is_row = (places == np.arange(len(places))).all()
    return {
        "file": str(recording.path),
        "data_path": read_from["data"],
        "pos_x_path": read_from.get("x", ""),
        "pos_y_path": read_from.get("y", ""),
        "n_rows": evaluation.n_rows,
        "accept_indices": evaluation.accept_indices.tolist(),
        "reject_indices": evaluation.reject_indices.tolist(),
        **({} if is_row else {"reject_positions": sorted(places[evaluation.reject_indices].tolist())}),
    }


def _places_in_scan(recording: Hdf5Recording) -> npt.NDArray[np.int64]:
    """(n,) of each row, by its uniqueId as `ingest` counts them; where these do not tell, that in the file."""
    identities = recording.identities
    ids = np.arange(recording.n_frames) if identities is None else identities[0] - recording.first_unique_id
    is_told = ids.min() >= 0 and len(np.unique(ids)) == len(ids)
    return ids if is_told else np.arange(recording.n_frames)
