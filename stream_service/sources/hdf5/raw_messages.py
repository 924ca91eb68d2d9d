"""Messages between the daemon and the process that reads the raw file for it.

A question has the ids that are wanted, and ids and stamps that are held. Its answer is a message for each frame, and
one at the end; a message without facts is a sign of life.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.processes.messages import Arrays, Message

KINDS = "iuf"
"""Kinds of dtype that pixels have."""
SIGN_OF_LIFE: dict[str, Any] = {}


class RawState(StrEnum):
    """What the raw file was when it was asked. Only the first four can become something else by waiting."""

    NOT_THERE = "not there"
    GROWING = "growing"
    """It is being written in SWMR mode: what has been flushed was read."""
    BEING_WRITTEN = "being written"
    """Not in SWMR mode: it can be read once it is closed."""
    INTERRUPTED = "interrupted"
    """The process that reads it was ended by someone else: another one may come further."""
    CLOSED = "closed"
    OTHER_SCAN = "other scan"
    """Nothing shows that it holds the frames of this run, or something shows that it does not: it is not used."""
    UNREADABLE = "unreadable"

    @property
    def is_final(self) -> bool:
        """True if asking the same again gives no more."""
        return self in (RawState.CLOSED, RawState.OTHER_SCAN, RawState.UNREADABLE)


class RawAnswer(NamedTuple):
    """End of the answer to one question."""

    state: RawState
    n_frames: int = 0
    """Rows that the file has now with all that belongs to them."""
    n_compared: int = 0
    """Held frames whose id is in the file."""
    n_agree: int = 0
    """Those of them that are in it with the same stamp."""
    n_found: int = 0
    """Frames that were wanted and have been handed over."""
    n_unreadable: int = 0
    """Frames that were wanted and whose pixels cannot be read."""
    sentence: str = ""
    """For the operator; empty if all is well."""


def frame_message(frame: Frame) -> tuple[dict[str, Any], Arrays]:
    """Facts and arrays of a message with a frame."""
    facts = {
        "unique_id": frame.unique_id,
        "timestamp_ns": frame.timestamp_ns,
        "attributes": dict(frame.attributes),
    }
    return {"frame": facts}, {"pixels": frame.pixels}


def answer_message(answer: RawAnswer) -> tuple[dict[str, Any], Arrays]:
    """The same with the end of an answer."""
    return {"answer": answer._asdict()}, {}


def said_by(message: Message) -> Frame | RawAnswer | None:
    """The frame, or the end of the answer, in a message; None for a sign of life.

    Raises `SourceError`, `ValueError`, `TypeError` or `LookupError` for what is neither.
    """
    if "answer" in message.facts:
        facts = message.facts["answer"]
        return RawAnswer(**{**facts, "state": RawState(facts["state"])})
    if "frame" not in message.facts:
        return None
    facts, pixels = message.facts["frame"], message.arrays["pixels"]
    if pixels.dtype.kind not in KINDS or pixels.ndim != 2:
        raise SourceError(f"{pixels.shape} {pixels.dtype}, which are no pixels")
    return Frame(facts["unique_id"], facts["timestamp_ns"], pixels, facts["attributes"], is_backfilled=True)
