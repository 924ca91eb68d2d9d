"""The messages of the service about quality, as JSON: every field once, with type, unit and meaning.

The messages that are sent, their JSON schema and docs/reference/messages.md follow from `FIELDS`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from stream_service.core.judged_row import PROVISIONAL, REJECTED, ROW
from stream_service.core.reason import words
from stream_service.settings.service_status import RunStatus

VERSION = 1
"""Counts on when a field changes its meaning, or goes; new ones may come at any time."""


class Topic(StrEnum):
    """First part of a message, by which subscribers choose."""

    RUN_START = "run.start"
    QC_ROW = "qc.row"
    RUN_STOP = "run.stop"


TOPICS: Mapping[Topic, str] = {
    Topic.RUN_START: "a run has been armed; in auto mode, its first frame has come",
    Topic.QC_ROW: "a row has its first verdict, or another one than before",
    Topic.RUN_STOP: "the run has ended, its file is closed, and the latest verdicts on its rows are final",
}
"""When each is sent."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a message."""

    name: str
    kind: str
    """Type of JSON; `integer[]` and `number[]` are lists."""
    about: str
    unit: str = ""
    is_nullable: bool = False

    def schema(self) -> dict[str, Any]:
        """The JSON schema of its values."""
        item, is_list = self.kind.removesuffix("[]"), self.kind.endswith("[]")
        of_item: dict[str, Any] = {"type": [item, "null"] if self.is_nullable else item}
        return {"type": "array", "items": of_item} if is_list else of_item


EVERY = (
    Field("message", "string", "The topic once more."),
    Field("version", "integer", f"Of the messages: {VERSION}."),
    Field("sequence", "integer", "Counts the messages of a topic; a gap: some were dropped, since nobody took them."),
    Field("time_ns", "integer", "When it was made, since 1970 UTC.", "ns"),
    Field("run", "integer", "`RunNumber`: runs armed since the service started."),
    Field("scan_id", "string", "Scan of the run."),
)
"""Of every message."""

FIELDS: Mapping[Topic, tuple[Field, ...]] = {
    Topic.RUN_START: (
        *EVERY,
        Field("file", "string", "Path of the standard file, which is made with the first frame."),
        Field("rows_expected", "integer", "Rows that may come, repeats included; null: nobody knows.", "", True),
    ),
    Topic.QC_ROW: (
        *EVERY,
        Field(ROW.name, "integer", ROW.about),
        Field("unique_id", "integer[]", "uniqueId of each frame of the row."),
        Field("epoch", "integer[]", "Counter generation of each; with the uniqueId the identity of a frame."),
        Field("planned", "integer", "Planned position, from 0; null: none.", "", True),
        Field("replaces", "integer", "The row that this one repeats; null: none.", "", True),
        Field("x_m", "number", "Position of the beam on the sample, x; null: not known.", "m", True),
        Field("y_m", "number", "The same, y.", "m", True),
        Field("score", "number", "0: as its neighbours, to 1: rejected by a gate; null: not judged.", "", True),
        Field("reason", "integer", "Code of the reason, see file-format.md; 0: none."),
        Field("words", "string", "The reason as a person says it; empty: none."),
        Field("numbers", "number[]", "The two numbers of the reason.", "", True),
        Field(REJECTED.name, "boolean", REJECTED.about),
        Field(PROVISIONAL.name, "boolean", PROVISIONAL.about),
    ),
    Topic.RUN_STOP: (
        *EVERY,
        Field("state", "string", "COMPLETE, INCOMPLETE, ABORTED or FAILED."),
        Field("end_reason", "string", "Why the run has ended."),
        Field("words", "string", "What became of its frames, in sentences."),
        Field("file", "string", "Path of the standard file; empty: no frame came, and none was made."),
        Field("rows", "integer", "Rows in the file."),
        Field("rejected", "integer", "Of them rejected for their quality."),
        Field("lacking", "integer", "Planned positions of which no row can be used."),
    ),
}


def schema(topic: Topic) -> dict[str, Any]:
    """The JSON schema of the messages of a topic."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": str(topic),
        "type": "object",
        "properties": {field.name: field.schema() for field in FIELDS[topic]},
        "required": [field.name for field in FIELDS[topic]],
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class RunNamed:
    """The run that messages are about."""

    run: int
    scan_id: str


def run_start(named: RunNamed, file: str, rows_expected: int | None) -> dict[str, Any]:
    """What is told when a run begins."""
    return _of(named) | {"file": file, "rows_expected": rows_expected}


def run_stop(named: RunNamed, status: RunStatus) -> dict[str, Any]:
    """What is told when it has ended."""
    return _of(named) | {
        "state": str(status.state),
        "end_reason": str(status.end_reason),
        "words": status.message,
        "file": status.file,
        "rows": status.rows,
        "rejected": status.judged.n_rejected,
        "lacking": status.coverage.n_lacking,
    }


def qc_rows(named: RunNamed, rows: np.ndarray[Any, Any]) -> Iterator[dict[str, Any]]:
    """What is told of each of some rows (n,) of `judged_dtype`."""
    names = rows.dtype.names or ()
    columns = {name: rows[name].tolist() for name in names}
    of_run = _of(named)
    for i in range(len(rows)):
        row = {name: columns[name][i] for name in names}
        yield of_run | {
            "row": row["row"],
            "unique_id": row["unique_id"],
            "epoch": row["epoch"],
            "planned": _index(row["planned"]),
            "replaces": _index(row["replaces"]),
            "x_m": _number(row["x_m"]),
            "y_m": _number(row["y_m"]),
            "score": _number(row["score"]),
            "reason": row["reason"],
            "words": words(row["reason"], *row["numbers"]),
            "numbers": [_number(number) for number in row["numbers"]],
            "rejected": row["rejected"],
            "provisional": row["provisional"],
        }


def encoded(topic: Topic, sequence: int, message: Mapping[str, Any]) -> list[bytes]:
    """The two parts of a message: its topic, and JSON in UTF-8."""
    head = {"message": str(topic), "version": VERSION, "sequence": sequence, "time_ns": time.time_ns()}
    return [topic.encode(), json.dumps({**head, **message}, allow_nan=False).encode()]


def _of(named: RunNamed) -> dict[str, Any]:
    return {"run": named.run, "scan_id": named.scan_id}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _index(value: int) -> int | None:
    return value if value >= 0 else None
