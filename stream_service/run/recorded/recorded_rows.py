"""The rows of a log beside the frames of a recording: each frame gets the values of its own row as attributes.

Which row is whose is decided before the first frame is read, by all identities on both sides (`match_rows`). While a
recording still grows these are not known: then rows and frames must begin alike, or the operator says how it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import NO_STAMP, Frame
from stream_service.core.intake import Entered, Intake
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival
from stream_service.errors import SourceError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.settings.recorded_choices import Match
from stream_service.sources.recording import Identities, Recording
from stream_service.sources.tables.entries_of_frames import place_out_of_step
from stream_service.sources.tables.recorded_readbacks import FrameRows
from stream_service.sources.tables.sidecar_matching import NONE, Frames, Matching, match_rows
from stream_service.text.counted import agrees, counted

Ints = npt.NDArray[np.int64]
MOST_NAMES = 5
"""Rows or frames that a note lists."""
NO_PIXELS = np.empty((0, 0), np.uint8)
PLACE = "place"
"""Under which the place of a frame in its file stands among its attributes, while only its identity is looked at."""
NUMBER_IS = "the frame's place in the scan, from 0"


def row_attribute(name: str) -> str:
    """Under which a value of a frame's row in the log stands among its attributes."""
    return f"--readbacks {name}"


class RowsOfFrames:
    """The log of a recording. Raises `SourceError` if it cannot be told which row is whose."""

    def __init__(self, recording: Recording, rows: FrameRows, settings: IngestSettings) -> None:
        self._rows = rows
        self._settings = settings
        self._path = recording.path
        self._ledger = ledger_of(recording, settings)
        self._has_timestamps = recording.has_timestamps
        self._is_begin_known = settings.first_unique_id is not None
        self._used = np.zeros(rows.identity.n, bool)
        self._without_row: list[int] = []
        """uniqueIds of the first frames without a row."""
        self._n_without_row = self._n_repeated = self._n_done = 0
        self._place_of_key: dict[int, int] = {}
        self._matching: Matching | None = None
        if (identities := recording.identities) is not None:
            self._matching = self._match(recording, identities)
            self._by = self._matching.by

    def attach(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames with the values of their rows; a frame without one as it is."""
        for place, frame in enumerate(frames):
            row = self._row_growing(frame) if self._matching is None else int(self._matching.row_of_frame[place])
            if row == NONE:
                self._n_without_row += 1
                if len(self._without_row) < MOST_NAMES:
                    self._without_row.append(frame.unique_id)
                yield frame
                continue
            self._used[row] = True
            named = {row_attribute(name): value for name, value in self._rows.values(row).items()}
            yield replace(frame, attributes={**frame.attributes, **named})

    def notes(self) -> Iterator[str]:
        """Notes on the match of rows and frames, and on what has no counterpart; to be read at the end."""
        yield self._how
        if self._n_repeated:
            n = self._n_repeated
            yield (
                f"{counted(n, 'frame')} {agrees(n, 'has')} a unique_id that an earlier frame had: "
                f"{'it gets' if n == 1 else 'they get'} no row of the log"
            )
        if self._n_without_row:
            yield (
                f"{counted(self._n_without_row, 'frame')} {agrees(self._n_without_row, 'has')} no row in the log of "
                f"readbacks: {'it is' if self._n_without_row == 1 else 'they are'} stored, and not used: "
                f"uniqueId {_listed(self._without_row, self._n_without_row)}"
            )
        alone = np.flatnonzero(~self._used)
        if alone.size:
            name, keys = self._key()
            shown = alone[:MOST_NAMES] + 1 if keys is None else keys[alone[:MOST_NAMES]]
            yield (
                f"{alone.size} of {counted(self._rows.identity.n, 'row')} in the log of readbacks "
                f"{agrees(alone.size, 'has')} no frame: {name} "
                f"{_listed(shown.tolist(), alone.size)}"
            )

    def _match(self, recording: Recording, identities: Identities) -> Matching:
        """Of a recording that is whole."""
        ids, stamps_ns = identities
        ordinals = places_in(self._ledger, recording, identities)
        counted = np.flatnonzero(ordinals != NONE)
        counted = counted[np.argsort(ordinals[counted])]  # in the order in which they were taken
        numbers = ordinals[counted]
        n_lost_before = int(numbers[0]) if self._is_begin_known and numbers.size else 0
        frames = Frames(numbers, len(counted), ids[counted], NUMBER_IS, self._is_begin_known, n_lost_before)
        try:
            found = match_rows(self._rows.identity, frames, self._settings.match, self._settings.row_offset)
        except SourceError as error:
            raise SourceError(f"the log of readbacks and {self._path}: {error}") from error
        row_of_frame = np.full(len(ids), NONE, np.int64)
        row_of_frame[counted] = found.row_of_frame
        if self._rows.stamps_ns is not None and self._has_timestamps:
            self._check_step(self._rows.stamps_ns[found.row_of_frame], stamps_ns[counted])
        return replace(found, row_of_frame=row_of_frame)

    def _check_step(self, rows_ns: Ints, frames_ns: Ints) -> None:
        """Rows that are matched by order are as far from their frames as all others."""
        if (out := place_out_of_step(rows_ns, frames_ns)) is not None:
            place, lag_s, usual_s = out
            raise SourceError(
                f"the log of readbacks and {self._path} are not in step: row {place + 1} is stamped {lag_s:.3f} s "
                f"after the frame that has its place, others {usual_s:.3f} s, so that a row or a frame is missing: "
                "give each row the unique_id or frame_index of its frame"
            )

    def _row_growing(self, frame: Frame) -> int:
        """Of a recording of which more may come."""
        receipt = self._ledger.receive(frame.unique_id, frame.timestamp_ns if self._has_timestamps else self._n_done)
        self._n_done += 1
        if self._n_done == 1:
            self._begin(frame.unique_id)
        if self._by is Match.ORDER:
            row = self._n_done - 1
            return row if row < self._rows.identity.n else NONE
        key = frame.unique_id if self._by is Match.UNIQUE_ID else receipt.ordinal
        row = self._place_of_key.get(key + (self._settings.row_offset or 0), NONE)
        if row != NONE and self._used[row]:
            self._n_repeated += 1
            return NONE
        return row

    def _begin(self, first_id: int) -> None:
        identity, settings = self._rows.identity, self._settings
        self._by = settings.match
        if settings.match is Match.AUTO:
            self._by = Match.NUMBER if identity.unique_id is None else Match.UNIQUE_ID
        name, keys = self._key()
        if keys is None:
            return
        own = first_id if self._by is Match.UNIQUE_ID else 0
        if settings.match is Match.AUTO and settings.row_offset is None and int(keys.min()) != own:
            raise SourceError(
                f"which row belongs to which frame cannot be told while the recording grows: {name} of the rows begins "
                f"with {keys.min()}, that of the frames with {own}. Say it: --match {self._by.value}, --match order, "
                f"or --row-offset N, the {name} of a row minus that of its frame"
            )
        self._place_of_key = {key: row for row, key in enumerate(keys.tolist())}

    def _key(self) -> tuple[str, Ints | None]:
        """Name and values of what rows are called by; None for their place in the log, from 1."""
        identity = self._rows.identity
        name, keys = "frame_index", identity.frame_index
        if identity.unique_id is not None and (self._by is Match.UNIQUE_ID or keys is None):
            name, keys = "unique_id", identity.unique_id
        is_own = keys is not None and (self._by is not Match.ORDER or len(np.unique(keys)) == len(keys))
        return (name, keys) if is_own else ("row", None)

    @property
    def _how(self) -> str:
        name, keys = self._key()
        if self._by is Match.ORDER:
            first = 1 if keys is None else int(keys.min())
            return f"rows of the log and frames are matched by order: the row with {name} {first} is the first frame's"
        what = "the uniqueId" if self._by is Match.UNIQUE_ID else NUMBER_IS
        offset = self._matching.offset if self._matching else self._settings.row_offset or 0
        more = f", {'+' if offset > 0 else '-'} {abs(offset)}" if offset else ""
        return f"rows of the log and frames are matched by {self._by.value}: {name} is {what}{more}"


def first_id_of(recording: Recording, settings: IngestSettings) -> int:
    """The uniqueId with which a scan begins: as the operator says it, else that of the frame that was taken first.

    The first one in the file need not be it, and may have a wrong id.
    """
    first_id, identities = recording.first_unique_id, recording.identities
    if settings.first_unique_id is not None:
        return settings.first_unique_id
    if identities is None or not recording.has_timestamps or first_id not in identities[0]:
        return first_id
    ids, stamps_ns = identities
    stamped = stamps_ns != NO_STAMP
    earliest = int(ids[stamped][np.argmin(stamps_ns[stamped])])
    return min(first_id, earliest)


def ledger_of(recording: Recording, settings: IngestSettings) -> Ledger:
    """An account that begins as that of the run over this recording."""
    return Ledger(first_id_of(recording, settings), None, is_begin_certain=settings.first_unique_id is not None)


def places_in(ledger: Ledger, recording: Recording, identities: Identities) -> Ints:
    """(n,) the place of each frame in the run, by the intake that decides when it is read; `NONE` for want of one."""
    ids, stamps_ns = identities
    times = stamps_ns.tolist() if recording.has_timestamps else range(len(ids))
    ordinals = np.full(len(ids), NONE, np.int64)
    intake = Intake(ledger)
    for place, (id, time_ns) in enumerate(zip(ids.tolist(), times, strict=True)):
        _enter(intake.admit(Frame(id, time_ns, NO_PIXELS, {PLACE: place})), ordinals)
    _enter(intake.decide(None, is_last=True), ordinals)
    return ordinals


def _enter(decided: list[Entered], ordinals: Ints) -> None:
    for frame, receipt in decided:
        if receipt.arrival is Arrival.NEW:
            ordinals[cast("int", frame.attributes[PLACE])] = receipt.ordinal


def _listed(names: list[int], n: int) -> str:
    return ", ".join(map(str, names)) + (", ..." if n > len(names) else "")
