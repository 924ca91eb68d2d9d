"""A recorded scan in TIFF files, with or without a sidecar that says what belongs to each frame.

A frame's identity is the uniqueId of its row in the sidecar; where not every frame has one, the uniqueId that
areaDetector wrote into the files; else the number of its file or its place in the stack. One of the three holds for the
whole scan. A file that is missing keeps its number, so its frame is accounted for as lost and shifts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import AttributeValue, Frame, UnreadableFrame
from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.errors import SourceError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.settings.recorded_choices import Match
from stream_service.sources.hdf5.contents import TimestampField
from stream_service.sources.recording import MOST_FRAMES, Facts, Identities
from stream_service.sources.tables.sidecar import Sidecar, read_sidecar
from stream_service.sources.tables.sidecar_matching import NONE
from stream_service.sources.tables.sidecar_pairing import Extent, describe_gaps, extent, pair_sidecar, places_in_scan
from stream_service.sources.tiff.frames import TiffFrames

Ints = npt.NDArray[np.int64]
CHANNELS = ("x", "y", "energy")
EXPOSURE = "exposure"
PER_FRAME = (*CHANNELS, EXPOSURE)
"""Columns of a sidecar that become attributes of a frame."""


class TiffRecording:
    """Frames of TIFF files with the values of a sidecar, or with the NDAttributes that areaDetector wrote into them."""

    def __init__(
        self,
        pattern: str,
        sidecar: Path | None = None,
        match: Match = Match.AUTO,
        timestamp_field: TimestampField = "timeStamp",
        row_offset: int | None = None,
        also: AlsoBelow = NOWHERE_ELSE,
    ) -> None:
        """`also` names folders below which other files may lie that the sidecar points to."""
        self.path = Path(pattern)
        self._frames = TiffFrames(pattern, timestamp_field)
        self.files = (*self._frames.files.paths, *([sidecar] if sidecar is not None else []))
        """All that is read."""
        self.layout = "a stack of TIFF images" if self._frames.is_stack else "TIFF files"
        self.title = ""
        self.frame_shape: tuple[int, int] = self._frames.shape
        self.dtype: np.dtype[Any] = self._frames.dtype
        self.notes = [self._frames.files.missing] if self._frames.files.n_missing else []
        self._row_of_frame = np.full(len(self._frames), NONE, np.int64)
        self._sidecar: Sidecar | None = None
        self.facts = Facts()
        self.rules: tuple[ChannelRule, ...] = ()
        self.is_on_sample = False
        self.exposure_attribute = ""
        self.references: Mapping[str, npt.NDArray[Any]] = {}
        self.axis_signs: tuple[int, int] | None = None
        self.problems: Mapping[str, str] = {}
        beyond, by, places = Extent(), Match.NUMBER, None
        if sidecar is not None:
            self._sidecar = own = read_sidecar(sidecar, self.frame_shape, also)
            self._take(own)
            if own.n_rows:
                matching = pair_sidecar(own, self._frames, match, row_offset)
                beyond, by = extent(own, self._frames, matching), matching.by
                places = places_in_scan(own, self._frames, matching)
                self._row_of_frame = matching.row_of_frame
                if own.files is None:
                    self.notes.append(f"rows of {own.path} and frames are matched by {matching.by.value}")
                self.notes += describe_gaps(own.rows, self._frames, matching)
        self._unique_ids = self._identities(by, places)
        self._stamps_ns = self._stamps()
        self.has_timestamps = self._stamps_ns is not None
        self._count(beyond)

    @property
    def n_frames(self) -> int:
        return len(self._frames)

    @property
    def identities(self) -> Identities:
        stamps_ns = np.zeros(len(self._frames), np.int64) if self._stamps_ns is None else self._stamps_ns
        return self._unique_ids, stamps_ns

    def frames(self) -> Iterator[Frame]:
        """Every frame once, in the order of files; one of them is in memory."""
        for index, found in enumerate(self._frames.read()):
            stamp_ns = 0 if self._stamps_ns is None else int(self._stamps_ns[index])
            attributes = self._attributes(int(self._row_of_frame[index]), found.attributes)
            unique_id = int(self._unique_ids[index])
            if found.reason:
                yield UnreadableFrame(unique_id, stamp_ns, found.pixels, attributes, reason=found.reason)
            else:
                yield Frame(unique_id, stamp_ns, found.pixels, attributes)

    def close(self) -> None:
        """Nothing is open between frames."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, sidecar: Sidecar) -> None:
        """Numbers of the whole scan by the sidecar."""
        columns = sidecar.columns
        self.layout += " with a sidecar"
        self.rules = tuple(ChannelRule(name, How.ATTRIBUTE, attribute=name) for name in CHANNELS if name in columns)
        self.is_on_sample = True
        self.problems = sidecar.problems
        self.exposure_attribute = EXPOSURE if EXPOSURE in columns else ""
        self.references = dict(sidecar.references)
        means = {name: self._mean(sidecar, name) for name in ("energy", "det_dist", "pixel", EXPOSURE)}
        self.facts = Facts(means["energy"], means["det_dist"], means["pixel"], means[EXPOSURE])

    def _mean(self, sidecar: Sidecar, name: str) -> float:
        """The one number of a scan; NaN if there is none. What should be one and is not is told."""
        values = sidecar.columns.get(name, np.array(np.nan))
        known = values[np.isfinite(values)]
        if not known.size:
            return math.nan
        if np.ptp(known) == 0:
            return float(known[0])
        mean = float(known.mean())
        if name in ("det_dist", "pixel"):
            self.notes.append(
                f"{sidecar.path}: {name}_m runs from {known.min():g} to {known.max():g}; its mean {mean:g} is taken"
            )
        return mean

    def _identities(self, by: Match, places: Ints | None) -> Ints:
        ids = None if self._sidecar is None else self._sidecar.rows.unique_id
        numbers = self._frames.numbers
        if ids is not None and (self._row_of_frame != NONE).all():
            return ids[self._row_of_frame]
        if self._frames.unique_id is not None:
            return self._frames.unique_id
        if by is Match.ORDER:
            places = np.arange(len(self._frames), dtype=np.int64) if places is None else places
            first = 0 if numbers is None else max(int(numbers[0]) - int(places[0]), 0)
            return first + places
        if numbers is None:
            raise SourceError(
                f"{self.path}: the frames cannot be numbered: a stack is missing or shorter than the others, and they "
                "hold no uniqueId; give a sidecar with unique_id, or one made with --match order"
            )
        return numbers

    def _stamps(self) -> Ints | None:
        """Those of the sidecar, else those in the files; None unless every frame has one."""
        stamps_ns = None if self._sidecar is None else self._sidecar.timestamp_ns
        if stamps_ns is not None and (self._row_of_frame != NONE).all():
            return stamps_ns[self._row_of_frame]
        return self._frames.timestamp_ns

    def _count(self, beyond: Extent) -> None:
        """Every number from first to last was exposed, whether its file is there or not; so was every row."""
        first, last = int(self._unique_ids[0]), int(self._unique_ids[-1])
        counts_up = bool((np.diff(self._unique_ids) > 0).all())
        span = last - first + 1 if counts_up else len(self._unique_ids)
        before = min(beyond.before, max(first, 0))  # no detector counts from below 0
        if before + span + beyond.after > MOST_FRAMES:
            raise SourceError(
                f"{self.path}: frames are numbered from {first - before} to {last + beyond.after}, no scan has more "
                f"than {MOST_FRAMES}; if the numbers are no counter (a date, a time), give a sidecar made with "
                "--match order"
            )
        self.first_unique_id = first - before
        self.n_expected: int | None = before + span + beyond.after
        self.n_exposed: int | None = self.n_expected

    def _attributes(self, row: int, in_file: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Those of the sidecar, and under other names those in the file."""
        if self._sidecar is None:
            return in_file
        columns = {name: self._sidecar.columns[name] for name in PER_FRAME if name in self._sidecar.columns}
        attributes = {name: value for name, value in in_file.items() if name not in columns}
        for name, values in columns.items():
            if values.ndim == 0 or row != NONE:
                attributes[name] = float(values if values.ndim == 0 else values[row])
        return attributes
