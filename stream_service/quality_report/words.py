"""Summary of an evaluation, in three sentences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from stream_service.quality_report.evaluated_file import EvaluatedFile
from stream_service.quality_report.evaluation import Evaluation
from stream_service.text.counted import agrees, counted
from stream_service.text.printable import printable

UM = 1e6
MOST_REASONS = 3


def found_in_words(file: EvaluatedFile, evaluation: Evaluation) -> tuple[str, str]:
    """What was compared, and what is rejected and why."""
    n, n_all = len(evaluation.mask_indices), evaluation.n_rows
    region = evaluation.settings.region
    ny, nx = file.recording.frame_shape
    part = "" if region is None else f" in {region}, of {n_all} in all,"
    how = "as measured on their pixels" if evaluation.reads_pixels else "by the features stored with them"
    compared = (
        f"{file.recording.path}, {file.recording.layout}: {counted(n, 'row')} of {ny} x {nx} pixels{part} "
        f"{agrees(n, 'was')} compared with {agrees(n, 'its')} neighbours, {how}."
    )
    return compared, _rejected(evaluation, n)


def _rejected(evaluation: Evaluation, n: int) -> str:
    rows = evaluation.reject_indices
    if not len(rows):
        most = evaluation.worst_first[0]
        highest = f"the highest score is {evaluation.score[most]:.2f}, of row {most}"
        return f"No row is rejected ({evaluation.rule}); {highest}."
    worst = int(evaluation.worst_first[0])
    kinds = np.array(evaluation.kinds())[evaluation.rejected[evaluation.mask_indices]].tolist()
    reasons = Counter(kinds).most_common()
    named = [f"{count} for {kind}" for kind, count in reasons[:MOST_REASONS] if kind]
    if (rest := len(rows) - sum(count for kind, count in reasons[:MOST_REASONS] if kind)) and named:
        named.append(f"{rest} for other reasons")
    why = f": {', '.join(named)}" if named else ""
    said = printable(evaluation.reasons()[worst])
    return (
        f"{counted(len(rows), 'row')} ({percent(len(rows) / n)} %) {agrees(len(rows), 'is')} rejected "
        f"({evaluation.rule}){why}; "
        f"the worst is row {worst}{_place(evaluation, worst)}, with a score of {evaluation.score[worst]:.2f}"
        + (f": {said}." if said else ".")
    )


def _place(evaluation: Evaluation, row: int) -> str:
    if not evaluation.numbers.has_position[row]:
        return ""
    x_um, y_um = (evaluation.numbers[name][row] * UM for name in ("x_m", "y_m"))
    return f" at x {x_um:.4g} µm, y {y_um:.4g} µm"


def percent(share: float) -> str:
    """Two digits of a percentage, and 100 as such."""
    return f"{100 * share:.3g}" if share >= 0.995 else f"{100 * share:.2g}"


def written_in_words(folder: Path, file: Path, n_thumbs: int, applied: tuple[str, ...]) -> str:
    """Where the results are, and what became of the file."""
    became = f"{file} says so now: {', '.join(applied)}" if applied else f"{file} is as it was"
    parts = "lists, table and thumbnails" if n_thumbs else "lists and table"
    return f"{folder} holds the maps (qc_maps.png), {parts}; {became}."
