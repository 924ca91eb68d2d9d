"""End of a run, as its file has it: one sentence for all who read one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import h5py

from stream_service.core.run import RunState
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import END_STATES
from stream_service.standard_file.schema.contents import dataset_at, text_in


@dataclass(frozen=True, slots=True)
class StoredEnd:
    """State of the run in a file, and why it ended; both empty where the file does not say."""

    state: str
    why: str

    @classmethod
    def of(cls, file: h5py.Group) -> Self:
        """That of a file, which may still grow, or not be a standard file."""
        reason, message = (text_in(dataset_at(file, path)) for path in (paths.END_REASON, paths.MESSAGE))
        if reason and message:
            head, _, detail = reason.partition(": ")
            reason = head if detail and detail in message else reason  # said once
        texts = [text.rstrip(".") for text in (reason, message) if text]
        return cls(text_in(dataset_at(file, paths.STATE)) or "", ": ".join(texts))

    @property
    def has_ended(self) -> bool:
        """The run is over: no row will come."""
        return self.state in END_STATES

    @property
    def is_unmeant(self) -> bool:
        """Nobody wanted it to end so: an ABORTED run was ended, or its file repaired, by someone who knows."""
        return self.state in (RunState.INCOMPLETE, RunState.FAILED)

    def __str__(self) -> str:
        return f"{self.state}: {self.why or 'no reason is given'}"
