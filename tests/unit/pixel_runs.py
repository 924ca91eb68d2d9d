"""Frames through an ingest or a live run, and what was told: for tests of what becomes of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np
from scripted_run import Bench

from stream_service.run.recorded.ingest import Listener, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.settings.preprocessing import Preprocessing
from stream_service.standard_file import validate_file
from stream_service.testing.memory_recording import MemoryRecording, attributes_of


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def stored(tmp_path: Path, frames: np.ndarray[Any, Any], **settings: Any) -> tuple[h5py.File, list[str]]:
    """The file of an ingest, which `validate` takes, and what was told."""
    heard, references = Heard(), settings.pop("references", {})
    chosen = IngestSettings(preprocessing=Preprocessing(**settings), references=references)
    ingest(MemoryRecording(frames, attributes_of(len(frames))), tmp_path / "out.h5", chosen, listener=heard, force=True)
    assert [finding for finding in validate_file(tmp_path / "out.h5") if finding.level == "error"] == []
    return h5py.File(tmp_path / "out.h5"), heard.notes


def live(
    tmp_path: Path, frames: np.ndarray[Any, Any], preprocessing: dict[str, Any] | None = None, **request: Any
) -> tuple[Bench, list[str]]:
    """A run of these frames, and what it said before the last one came."""
    said: list[str] = []
    bench = Bench(tmp_path, n_positions=len(frames), preprocessing=preprocessing or {}, **request)

    def messages(first: int, stop: int) -> Iterator[list[Any]]:
        return iter([[corpus.good(n + 1, pixels=frames[n])] for n in range(first, stop)])

    n = len(frames)
    bench.play(messages(0, n - 1), bench.settles(), lambda: said.append(bench.run.message), messages(n - 1, n))
    return bench, said
