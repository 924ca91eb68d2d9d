"""The report of an evaluation: all its files in one folder, each whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stream_service.errors import InputFileError, OutputPathError, WriteError
from stream_service.output_file import check_folder, check_is_no_input
from stream_service.quality_report.evaluated_file import EvaluatedFile
from stream_service.quality_report.evaluation import Evaluation
from stream_service.quality_report.gallery import write_gallery
from stream_service.quality_report.lists import ptypy_document, write_arrays, write_json, write_summary
from stream_service.quality_report.maps_picture import draw_maps
from stream_service.run.recorded.ingest_settings import load_rejected

UNITS = {
    "outlier_score": "0 to 1; NaN outside of the region",
    "stxm": "ln(counts), NaN outside of the region",
    "dpcx": "stored pixels along +x of the beam on the sample, from the median",
    "dpcy": "stored pixels along +y of the beam on the sample, from the median",
    "indices": "rows, counted from 0",
}
"""Of the arrays: a value for each row."""
JSON_OPTION = "--emit-ptypy-json"
NAMES = (
    *("qc_maps.png", "outlier_score.npy", "stxm.npy", "dpcx.npy", "dpcy.npy", "accept_indices.npy"),
    *("reject_indices.npy", "mask_indices.npy", "qc_summary.csv", "qc_meta.json", "thumbs"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """Where an evaluation is written, and how many pictures of rows go with it."""

    folder: Path
    ptypy_json: Path | None = None
    n_thumbs: int = 0
    thumb_size: int = 256

    def prepare(self, inputs: Iterable[Path]) -> None:
        """Make the folders. Raises `OutputPathError` for an output that cannot be made or is an input; `WriteError`."""
        inputs = tuple(inputs)
        if os.path.lexists(self.folder) and not self.folder.is_dir():
            raise OutputPathError(f"{self.folder} is not a folder: choose another --output")
        for name in NAMES:
            check_is_no_input(self.folder / name, inputs)
        if self.ptypy_json is not None:
            check_is_no_input(self.ptypy_json, inputs, JSON_OPTION)
            if self.ptypy_json.absolute().parent != self.folder.absolute():
                check_folder(self.ptypy_json, JSON_OPTION)
            if os.path.lexists(self.ptypy_json) and not _is_list_of_rows(self.ptypy_json):
                raise OutputPathError(
                    f"{self.ptypy_json} exists already, and is no list of rows to replace: choose another {JSON_OPTION}"
                )
        try:
            (self.folder / "thumbs" if self.n_thumbs else self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"cannot make the folder {self.folder}: {error.strerror}") from error

    def write(
        self, file: EvaluatedFile, evaluation: Evaluation, asked: dict[str, Any], step: Callable[[int], None]
    ) -> None:
        """Write everything; `step` is told of pictures. Raises `WriteError`."""
        recording = file.recording
        write_arrays(self.folder, evaluation)
        write_summary(self.folder, evaluation)
        draw_maps(self.folder / "qc_maps.png", recording.path.name, evaluation)
        if self.n_thumbs:
            write_gallery(self.folder / "thumbs", file, evaluation, self.n_thumbs, self.thumb_size, step)
        if self.ptypy_json is not None:
            write_json(self.ptypy_json, ptypy_document(recording, evaluation))
        write_json(self.folder / "qc_meta.json", self._meta(file, evaluation, asked))

    def _meta(self, file: EvaluatedFile, evaluation: Evaluation, asked: dict[str, Any]) -> dict[str, Any]:
        region = evaluation.settings.region
        return {
            "program": f"ptychostream {version('ptychostream')}",
            "file": str(file.recording.path),
            "layout": file.recording.layout,
            "paths": file.recording.read_from,
            "options": asked,
            "frame_shape": list(file.recording.frame_shape),
            "looked_at": {"shape": list(file.view.shape), "bin": file.view.bin, "embed_side": file.view.embed_side},
            "features": "measured on the stored pixels" if evaluation.reads_pixels else "stored with the rows",
            "axis_signs": list(file.axis_signs),
            "region": None if region is None else region.as_json,
            "rejected_by": evaluation.rule,
            "no_row_rejected_for": list(file.unknown_conditions),
            "n_rows": evaluation.n_rows,
            "n_mask": len(evaluation.mask_indices),
            "n_accepted": len(evaluation.accept_indices),
            "n_rejected": len(evaluation.reject_indices),
            "units": UNITS,
            "notes": list(evaluation.notes),
        }


def _is_list_of_rows(path: Path) -> bool:
    """True for what an earlier evaluation wrote."""
    try:
        load_rejected(path)
    except InputFileError:
        return False
    return True
