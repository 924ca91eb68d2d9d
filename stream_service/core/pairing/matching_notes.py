"""Remarks of a run on triggers that were missed, or too many, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream_service.core.pairing.entry_matching import EntryMatching
from stream_service.core.pairing.hardware_array import HardwareArray
from stream_service.core.pairing.trigger_alignment import NONE, UNSURE
from stream_service.text.counted import agrees, counted


def miscount_note(names: Sequence[str], n_entries: int, n_exposed: int) -> str:
    """Of arrays without times that have not as many entries as frames were exposed, and may not end apart."""
    what = "a trigger was missed, or the capture ended early" if n_entries < n_exposed else "triggers were too many"
    return (
        f"{_numbers(names, n_entries, n_exposed)}: {what}, nobody knows where, so all rows are flagged unmatched. Give "
        "the times of the entries (times), which tell where"
    )


def apart_note(names: Sequence[str], n_entries: int, n_exposed: int) -> str:
    """Of those that may end apart."""
    what = "ended early" if n_entries < n_exposed else "went on longer"
    return (
        f"{_numbers(names, n_entries, n_exposed)}: taken for a capture that {what}. If a trigger was missed, or one "
        "too many, rows after it have the positions of their neighbours: the times of the entries (times) would tell"
    )


def _numbers(names: Sequence[str], n_entries: int, n_exposed: int) -> str:
    entries, frames = counted(n_entries, "entry", "entries"), counted(n_exposed, "frame")
    have = agrees(len(names), "has")
    return f"{_the_arrays(names)} {have} {entries} for {frames} that {agrees(n_exposed, 'was')} exposed"


def _the_arrays(names: Sequence[str]) -> str:
    return f"the {'array' if len(names) == 1 else 'arrays'} of {' and '.join(names)}"


def matching_notes(names: Sequence[str], matching: EntryMatching, times: HardwareArray) -> Iterator[str]:
    """Of the arrays of these channels, whose entries have times; at the end of the run."""
    of = _the_arrays(names)
    yield from times.notes(f"{names[0]}'s times", are_counted=False)
    if not matching.is_concluded:
        return
    n_none, n_unsure = matching.n_with(NONE), matching.n_with(UNSURE)
    n_over = times.n_entries - matching.n_of_frames
    if n_none:
        yield (
            f"{counted(n_none, 'frame')} {agrees(n_none, 'has')} no entry in {of}, as the times of both tell: hardware "
            f"missed {agrees(n_none, 'its')} {'trigger' if n_none == 1 else 'triggers'} (rows flagged missing)"
        )
    if n_over > 0 and not n_unsure:
        yield (
            f"{counted(n_over, 'entry', 'entries')} of {of} {'belongs' if n_over == 1 else 'belong'} to no frame that "
            "came, as the times of both tell"
        )
    if n_unsure:
        yield (
            f"which entry of {of}, of {times.n_entries}, is that of {counted(n_unsure, 'frame')} cannot be told by the "
            "times of both (rows flagged unmatched)"
        )
