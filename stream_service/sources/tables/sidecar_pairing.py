"""A sidecar beside the frames it was made for: which row is whose, and how far the scan went by both.

Names of files in a sidecar decide; without them rows and frames are matched by what both say of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.sidecar import Sidecar
from stream_service.sources.tables.sidecar_matching import NONE, Frames, Matching, Rows, match_rows
from stream_service.sources.tiff.files import MOST_NAMES, listing
from stream_service.sources.tiff.frames import TiffFrames
from stream_service.text.counted import agrees, counted

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """Number of frames that were exposed for certain, because there is a row for each of them."""

    before: int = 0
    """Before the first frame that is there."""
    after: int = 0
    """After the last one."""


def frames_of(frames: TiffFrames) -> Frames:
    """Identity of the frames by their files."""
    return Frames(frames.numbers, len(frames), frames.unique_id)


def pair_sidecar(sidecar: Sidecar, frames: TiffFrames, how: Match, offset: int | None = None) -> Matching:
    """A matching of rows and frames. Raises `SourceError` if that cannot be told."""
    if sidecar.files is None:
        try:
            return match_rows(sidecar.rows, frames_of(frames), how, offset)
        except SourceError as error:
            raise SourceError(f"{sidecar.path} and {frames.files.pattern!r}: {error}") from error
    row_of_place: dict[tuple[str, int], int] = {}
    for row, place in enumerate(sidecar.files):
        if place[0] and row_of_place.setdefault(place, row) != row:
            raise SourceError(f"{sidecar.path}: rows {row_of_place[place]} and {row} both belong to {place[0]}")
    found = (row_of_place.get(place, NONE) for place in frames.places())
    row_of_frame = np.fromiter(found, np.int64, len(frames))
    if (row_of_frame == NONE).all():
        known = next((name for name, _ in sidecar.files if name), "none at all")
        raise SourceError(
            f"{sidecar.path} was made for other files: none of its rows belongs to one that matches "
            f"{frames.files.pattern!r}; it names {known}"
        )
    return Matching(sidecar.matched_by or Match.NUMBER, row_of_frame, sidecar.n_rows)


def extent(sidecar: Sidecar, frames: TiffFrames, matching: Matching) -> Extent:
    """Numbers of rows beyond the frames on both sides, where rows and frames are counted alike, or rows name files."""
    if (places := places_in_scan(sidecar, frames, matching)) is not None:
        n_files = sum(bool(name) for name, _ in sidecar.files or ())
        return Extent(int(places[0]), n_files - 1 - int(places[-1]))
    of_rows, of_frames = sidecar.rows.frame_index, frames.numbers
    if matching.by is Match.UNIQUE_ID:
        of_rows, of_frames = sidecar.rows.unique_id, frames.unique_id
    if of_rows is None or of_frames is None or matching.by is Match.ORDER:
        return Extent()
    pairs = np.flatnonzero(matching.row_of_frame != NONE)
    counts_up = bool((np.diff(of_frames) > 0).all())  # not so if the detector reset its counter
    of_rows = of_rows - matching.offset
    if not counts_up or (of_rows[matching.row_of_frame[pairs]] != of_frames[pairs]).any():
        return Extent()
    before, after = int(of_frames[0]) - int(of_rows.min()), int(of_rows.max()) - int(of_frames[-1])
    return Extent(max(before, 0), max(after, 0))


def places_in_scan(sidecar: Sidecar, frames: TiffFrames, matching: Matching) -> Ints | None:
    """Place of each frame among those that were there when the sidecar was made, from 0, where order matched them.

    None unless it names the file of every frame that is there, in their order.
    """
    if sidecar.files is None or matching.by is not Match.ORDER or (matching.row_of_frame == NONE).any():
        return None
    places = _files_before(sidecar)[matching.row_of_frame]
    return places if (np.diff(places) > 0).all() else None


def _files_before(sidecar: Sidecar) -> Ints:
    """How many of the rows before each row have a file."""
    has_file = np.array([bool(name) for name, _ in sidecar.files or ()], np.int64)
    return np.cumsum(has_file) - has_file


def describe_gaps(rows: Rows, frames: TiffFrames, matching: Matching) -> list[str]:
    """Sentences about rows without a frame and frames without a row."""
    notes: list[str] = []
    if n := len(alone := matching.rows_without_frame):
        key = "unique_id" if matching.by is Match.UNIQUE_ID and rows.unique_id is not None else "frame_index"
        keys = rows.unique_id if key == "unique_id" else rows.frame_index
        names = [f"row {row + 1}" if keys is None else f"{key} {keys[row]}" for row in alone[: MOST_NAMES + 1].tolist()]
        notes.append(f"{n} of {counted(rows.n, 'row')} {agrees(n, 'has')} no frame: {listing(names, n)}")
    if n := len(alone := matching.frames_without_row):
        names = [_name(frames, frame) for frame in alone[: MOST_NAMES + 1].tolist()]
        notes.append(f"{n} of {counted(len(frames), 'frame')} {agrees(n, 'has')} no row: {listing(names, n)}")
    return notes


def _name(frames: TiffFrames, frame: int) -> str:
    return frames.files.paths[frame].name if not frames.is_stack else f"image {frame}"
