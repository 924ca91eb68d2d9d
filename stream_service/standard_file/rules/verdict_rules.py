"""Rules of the verdicts on rows: those of the run in `/entry/qc` are verdicts on rows that are there, and what CXI's
`score` and `tags` say agrees with `/entry/keep`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from stream_service.core.reason import GATES, Reason
from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import RowExtent, as_text, dataset_at, is_numeric
from stream_service.standard_file.schema.verdict_columns import verdict_specs
from stream_service.text.counted import agrees, counted

REJECTED = "rejected"
"""The tag of a row that is left out for its quality."""


def verdict_findings(file: h5py.File) -> Iterator[Finding]:
    """Findings where the verdicts of a closed file contradict each other, or are none."""
    keep, score, tags = (dataset_at(file, path) for path in (paths.KEEP, paths.SCORE, paths.TAGS))
    if score is not None and is_numeric(score):
        values = np.asarray(score[()], np.float64)
        if n := int(np.count_nonzero((values < 0) | (values > 1))):
            yield error(paths.SCORE, f"is outside of 0 to 1 in {counted(n, 'row')}; evaluate the file again.")
    replaces = dataset_at(file, paths.REPLACES)
    if keep is not None and replaces is not None and replaces.shape == keep.shape and replaces.dtype.kind in "iu":
        new = np.flatnonzero(replaces[()] >= 0)
        old = replaces[()][new]
        twice = (old < len(keep)) & (keep[()][np.minimum(old, len(keep) - 1)] != 0) & (keep[()][new] != 0)
        if twice.any():
            yield warning(
                paths.KEEP,
                f"uses {counted(int(twice.sum()), 'row')} beside the one that replaces it (the first is row "
                f"{old[twice][0]}, by row {new[twice][0]}): put 0 there, or the position counts twice.",
            )
    if keep is None or tags is None or tags.shape != keep.shape or heading_of(tags) != REJECTED:
        return
    both = np.flatnonzero((tags[()] != 0) & (keep[()] != 0))
    if both.size:
        yield error(
            paths.TAGS,
            f"{counted(both.size, 'row')} {agrees(both.size, 'is')} tagged as rejected and kept by {paths.KEEP} (the "
            f"first is row {both[0]}): `ptychostream evaluate --apply` puts both in order.",
        )


def row_verdict_findings(file: h5py.File, extent: RowExtent, state: str | None) -> Iterator[Finding]:
    """Findings in the verdicts that a run left on its rows; files of earlier versions have none."""
    specs = {spec.path: dataset for spec in verdict_specs() if (dataset := dataset_at(file, spec.path)) is not None}
    wrong = [
        error(path, f"has shape {dataset.shape} of {dataset.dtype}; a verdict is one number for each row.")
        for path, dataset in specs.items()
        if dataset.ndim != 1 or not is_numeric(dataset) or dataset.dtype.kind == "c"
    ]
    if not extent.is_growing:  # else they come with another flush than the rows
        wrong += [
            error(
                path,
                f"has verdicts on {dataset.shape[0]} rows, but there are {extent.n_rows}; evaluate the file again.",
            )
            for path, dataset in specs.items()
            if dataset.ndim == 1 and dataset.shape[0] > extent.n_rows
        ]
    yield from wrong
    if wrong or not specs:
        return
    n = min(extent.n_rows, *(dataset.shape[0] for dataset in specs.values()))
    yield from _value_findings({path.rpartition("/")[2]: dataset[:n] for path, dataset in specs.items()})
    if state == "COMPLETE" and n < extent.n_rows:
        missing = extent.n_rows - n
        yield warning(
            paths.QC,
            f"has no verdict on the last {counted(missing, 'row')}: `ptychostream evaluate --apply` judges "
            f"{agrees(missing, 'it')}, and marks what is bad.",
        )


def _value_findings(column: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[Finding]:
    """In columns that are named as those of `VERDICT_COLUMNS`."""
    known = np.array(list(Reason))
    gates = np.uint64(sum(1 << reason for reason in GATES))
    if (score := column.get("score")) is not None:
        yield from _rows_of("score", ~((score >= 0) & (score <= 1)), "is no number from 0 to 1")
    if (reason := column.get("reason")) is not None:
        yield from _rows_of("reason", ~np.isin(reason, known), "is a code that nobody knows")
    if (bits := column.get("gates")) is not None:
        is_whole = bits.dtype.kind in "iu"
        is_wrong = (bits < 0) | (bits.astype(np.uint64) & ~gates != 0) if is_whole else np.ones(len(bits), bool)
        yield from _rows_of("gates", is_wrong, "names a gate that nobody knows")


def _rows_of(name: str, is_wrong: np.ndarray[Any, Any], what: str) -> Iterator[Finding]:
    if (rows := np.flatnonzero(is_wrong)).size:
        yield error(
            f"{paths.QC}/{name}",
            f"{what} in {counted(rows.size, 'row')}, the first is {rows[0]}: `ptychostream evaluate` judges them anew.",
        )


def heading_of(dataset: h5py.Dataset) -> str | None:
    """The name of the one score or tag that a dataset of them has; None if there are more, or it has none."""
    found = np.asarray(dataset.attrs.get("headings", ())).reshape(-1)
    return as_text(found[0]) if found.size == 1 else None
