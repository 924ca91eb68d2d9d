"""Messages between the daemon and the process that reads a file of hardware-captured arrays.

A question names the file, and a dataset for each channel. Its answer has facts, and an array for each channel (n,).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.processes.messages import Message

Values = npt.NDArray[np.float64]


class ArraysState(StrEnum):
    """What the file was when it was looked at."""

    NOT_THERE = "not there"
    BEING_WRITTEN = "being written"
    """Not in SWMR mode: it can be read once it is closed."""
    GROWING = "growing"
    """In SWMR mode: what has been flushed was read."""
    CLOSED = "closed"
    UNCHANGED = "unchanged"
    """It was closed when it was looked at last, and nothing has been written to it since: it was not opened."""
    UNREADABLE = "unreadable"

    @property
    def is_read(self) -> bool:
        """True if the answer has the arrays."""
        return self in (ArraysState.GROWING, ArraysState.CLOSED)


class ArraysAnswer(NamedTuple):
    """Answer to one question."""

    state: ArraysState
    file_id: str = ""
    """It changes when the file is made anew under its name."""
    begun: str = ""
    """When the capture began, as a closed file says it; empty where it does not."""
    sentence: str = ""
    """For the operator; empty if all is well."""
    arrays: Mapping[str, Values] = {}
    """By channel, from the first entry."""


def answer_of(state: ArraysState, file_id: str = "", begun: str = "", sentence: str = "") -> dict[str, Any]:
    """Facts of an answer."""
    return {"state": state.value, "file_id": file_id, "begun": begun, "sentence": sentence}


def said_by(message: Message) -> ArraysAnswer:
    """The answer in a message. Raises `ValueError`, `TypeError` or `LookupError` for what is none."""
    facts = message.facts
    arrays = {name: values for name, values in message.arrays.items() if values.ndim == 1 and values.dtype == "f8"}
    if len(arrays) != len(message.arrays):
        raise ValueError("arrays that are none of hardware")
    file_id, begun, sentence = (str(facts[name]) for name in ("file_id", "begun", "sentence"))
    return ArraysAnswer(ArraysState(facts["state"]), file_id, begun, sentence, arrays)
