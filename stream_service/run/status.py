"""Account of the frames of a run in words, and a copy of its newest row: what screens and files show of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import FrameId
from stream_service.core.ledger import Account
from stream_service.text.counted import counted

MOST_IDS_NAMED = 20


@dataclass(frozen=True, slots=True, eq=False)
class ShownRow:
    """A copy of a stored row for screens: its place in the file, and its pixels (y, x)."""

    row: int
    pixels: npt.NDArray[np.float32]


def describe_account(account: Account, missing: Sequence[tuple[FrameId, FrameId]], rows: int) -> str:
    """One sentence that says what became of the frames of a run, and names the ranges that are missing."""
    parts = [
        f"{account.stored + account.backfilled} of {counted(account.expected, 'frame')} stored in "
        f"{counted(rows, 'row')}"
    ]
    for count, what in (
        (account.lost, "lost"),
        (account.incomplete, "in groups that never filled"),
        (account.not_exposed, "never exposed"),
        (account.duplicates, "duplicates ignored"),
        (account.unexpected - account.implausible, "beyond the number expected, ignored"),
        (account.implausible, "with an implausible id, ignored"),
        (account.before_run, "from before the run, ignored"),
    ):
        if count:
            parts.append(f"{count} {what}")
    named = describe_ids(missing)
    return ", ".join(parts) + (f" (missing ids: {named})" if named else "")


def describe_ids(ranges: Sequence[tuple[FrameId, FrameId]]) -> str:
    """Ranges of ids, `1, 7-9, 100`; those of later epochs as `epoch:id`; cut after 20."""
    texts = []
    for first, last in ranges[:MOST_IDS_NAMED]:
        epoch = f"{first.epoch}:" if first.epoch else ""
        texts.append(f"{epoch}{first.unique_id}" + (f"-{last.unique_id}" if last != first else ""))
    if len(ranges) > MOST_IDS_NAMED:
        texts.append(f"and {counted(len(ranges) - MOST_IDS_NAMED, 'more range')}")
    return ", ".join(texts)
