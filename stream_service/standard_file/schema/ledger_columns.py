"""The account of every unique_id of a run, as it stands in `/entry/ledger`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import EARLIER_COUNTS, LEDGER_COUNTS, STATUS_CODES, codes_as_text
from stream_service.standard_file.schema.spec import DatasetSpec

LEDGER_COLUMNS = {"epoch": np.int32, "unique_id": np.int64, "status": np.uint8, "n_received": np.uint16}
"""Those with an entry per frame, and their types."""


@dataclass(frozen=True, slots=True, eq=False)
class LedgerColumns:
    """One entry per frame the run should have, in order; M of them."""

    epoch: npt.NDArray[np.int32]
    unique_id: npt.NDArray[np.int64]
    status: npt.NDArray[np.uint8]
    """(M,) `codes.STATUS_CODES`."""
    n_received: npt.NDArray[np.uint16]
    """(M,) how often the frame came in; more than 1 is a duplicate."""
    counts: Mapping[str, int]
    """Every name of `codes.LEDGER_COUNTS`."""

    def __post_init__(self) -> None:
        lengths = {len(self.epoch), len(self.unique_id), len(self.status), len(self.n_received)}
        if len(lengths) != 1:
            raise ValueError(f"the ledger's columns have different lengths: {sorted(lengths)}")
        if missing := set(LEDGER_COUNTS) - set(self.counts):
            raise ValueError(f"the ledger's counts lack {sorted(missing)}")


def count_path(file: h5py.Group, name: str) -> str:
    """Path of a count of the ledger in this file, which may be one with its earlier name."""
    earlier = f"{paths.LEDGER}/{EARLIER_COUNTS.get(name, name)}"
    return earlier if earlier in file else f"{paths.LEDGER}/{name}"


def ledger_specs() -> tuple[DatasetSpec, ...]:
    """The datasets of `/entry/ledger`: four columns that are rewritten as a whole, and the counts."""
    columns = (
        DatasetSpec(
            f"{paths.LEDGER}/epoch",
            "Counter generation of the detector.",
            np.dtype(LEDGER_COLUMNS["epoch"]),
            fill=-1,
        ),
        DatasetSpec(
            f"{paths.LEDGER}/unique_id", "uniqueId of the frame.", np.dtype(LEDGER_COLUMNS["unique_id"]), fill=-1
        ),
        DatasetSpec(
            f"{paths.LEDGER}/status",
            "What became of the frame.",
            np.dtype(LEDGER_COLUMNS["status"]),
            attributes={"codes": codes_as_text(STATUS_CODES)},
        ),
        DatasetSpec(
            f"{paths.LEDGER}/n_received",
            "How often the frame came in (more than 1: duplicates).",
            np.dtype(LEDGER_COLUMNS["n_received"]),
        ),
    )
    meanings = {
        "expected": "Frames the run should have.",
        "stored": "Frames that came live and are in the file.",
        "backfilled": "Frames that were fetched from the raw file.",
        "lost": "Frames that were exposed and are not in the file.",
        "incomplete": "Frames that came, but whose group never filled.",
        "not_exposed": "Frames that were planned, but the detector never got there.",
        "duplicates": "Frames that came again; they are not counted above.",
        "unexpected": "Frames beyond those expected; they are not counted above.",
    }
    counts = (
        DatasetSpec(f"{paths.LEDGER}/{name}", meanings[name], np.dtype(np.int64), value=np.int64(0))
        for name in LEDGER_COUNTS
    )
    return (*columns, *counts)
