"""A recorded scan, resolved: its frames, and what follows from the first one and from the operator's options."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace

from stream_service.core.exposure import POSITION_CHANNELS, Exposure
from stream_service.core.frame import NO_STAMP, Frame, FrameTime, UnreadableFrame
from stream_service.core.pairing.rule import ChannelRule, How, channels_followed
from stream_service.errors import SourceError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.log_coverage import LogCoverage
from stream_service.run.recorded.recorded_channels import RecordedChannels, channels_of
from stream_service.run.recorded.recorded_clock import check_clocks, has_entries_of_frames, wrong_stamps
from stream_service.run.recorded.recorded_facts import notes_on_facts
from stream_service.run.recorded.recorded_rows import RowsOfFrames, first_id_of, ledger_of, places_in
from stream_service.run.rules import RunRules
from stream_service.sources.recording import Facts, Recording
from stream_service.text.counted import agrees, counted

OF_THE_SCAN = ChannelRule("energy", How.ATTRIBUTE, attribute="energy of the scan")
"""Where one energy is that of all frames."""
KINDS = re.compile(r"_(raw|std)$")
"""Endings that tell the files of one scan apart, as the service and the plans name them."""
MOST_NAMES = 10
"""Positions that a note lists."""
IN_A_PATTERN = re.compile(r"\[[^\]]*\]|[*?]")


class RecordedScan:
    """An open recording whose first frame was read. Raises `PtychostreamError` where that says too little."""

    def __init__(self, recording: Recording, settings: IngestSettings) -> None:
        self.recording, self.settings = recording, settings
        readbacks = settings.readbacks
        self._rows = RowsOfFrames(recording, readbacks.rows, settings) if readbacks and readbacks.rows else None
        self._frames = self._rows.attach(recording.frames()) if self._rows else recording.frames()
        self._read: list[Frame] = []
        """Already; `frames` begins with them."""
        self.first = first = self._first_readable()
        are_of_frames = readbacks is not None and has_entries_of_frames(readbacks, recording)
        self.channels: RecordedChannels = channels_of(
            recording, settings, first.attributes, are_of_frames=are_of_frames
        )
        facts = settings.facts_of(recording.facts)
        self.facts: Facts = facts
        """Of the whole scan, as they are known before the second frame."""
        self.facts = replace(facts, exposure_s=self.exposure_of(first), energy_eV=self._energy_of(first))
        frame_time = settings.profile.detector.frame_time.to_core() if settings.profile else FrameTime()
        has_energy = self.channels.has("energy")
        self._constants = {} if has_energy else {OF_THE_SCAN.attribute: facts.energy_eV}
        rules = self.channels.rules if has_energy else (*self.channels.rules, OF_THE_SCAN)
        if settings.preprocessing.group_by == "position":
            rules = tuple(
                replace(rule, tells_travel=rule.how is How.TIMESTAMP and rule.name in POSITION_CHANNELS)
                for rule in rules
            )
        self.rules = RunRules(
            channels=rules, frame_time=frame_time, is_in_order=True, wrong_stamps=wrong_stamps(recording)
        )
        self._coverage = LogCoverage(self.channels.rules, frame_time, readbacks, are_of_frames=are_of_frames)

    def _first_readable(self) -> Frame:
        """The first frame that says what frames are."""
        for frame in self._frames:
            self._read.append(frame)
            if not isinstance(frame, UnreadableFrame):
                return frame
        path, layout = self.recording.path, self.recording.layout
        if self._read:
            reason = getattr(self._read[0], "reason", "")
            raise SourceError(f"{path} ({layout}): none of its {len(self._read)} frames can be read: {reason}")
        raise SourceError(f"{path} ({layout}) holds no frames")

    @property
    def first_unique_id(self) -> int:
        """The uniqueId with which the scan begins, whether that frame is there or not."""
        return first_id_of(self.recording, self.settings)

    @property
    def is_begin_known(self) -> bool:
        """False if the first id is that of the first frame that is there."""
        return self.settings.first_unique_id is not None

    @property
    def n_recorded(self) -> int:
        """Frames from the first to the last that is there, whether they can be read or not; as the run counts them."""
        if self.recording.identities is None:
            return self.recording.n_frames
        ledger = ledger_of(self.recording, self.settings)
        places_in(ledger, self.recording, self.recording.identities)
        return ledger.n_seen

    def frames(self) -> Iterator[Frame]:
        """Every frame once, with the values of the scan and of its row in the log among its attributes."""
        for frame in itertools.chain(self._read, self._frames):
            yield (replace(frame, attributes={**frame.attributes, **self._constants}) if self._constants else frame)

    def start_ns(self, frame: Frame) -> int:
        """When the scan began, by the stamp of its first stored frame; 0 if that is no time."""
        return NO_STAMP if (frame.unique_id, frame.timestamp_ns) in self.rules.wrong_stamps else frame.timestamp_ns

    def exposure_of(self, frame: Frame) -> float:
        """Exposure time by the operator; else by the frame; else by the recording."""
        if math.isfinite(self.settings.facts.exposure_s):
            return self.settings.facts.exposure_s
        profile = self.settings.profile
        name = self.recording.exposure_attribute or (profile.detector.exposure_attribute if profile else "")
        own = frame.attributes.get(name)
        if isinstance(own, int | float) and 0 <= own < math.inf:
            return float(own)
        return self.facts.exposure_s

    def see(self, exposure: Exposure) -> None:
        """Look at an exposure on its way into the file."""
        self._coverage.see(exposure)

    def notes(self) -> Iterator[str]:
        """Sentences on what was decided, and on the clocks. Raises `SourceError` if those cannot be compared."""
        yield from self.channels.notes
        yield from notes_on_facts(self.settings, self.recording, self.first.attributes)
        if n := len(self.settings.rejected):
            shown = ", ".join(map(str, sorted(self.settings.rejected)[:MOST_NAMES])) + (
                ", ..." if n > MOST_NAMES else ""
            )
            yield (
                f"{counted(n, 'position')} {agrees(n, 'is')} stored and not used (keep = 0), as the reject list says: "
                f"{shown}"
            )
        readbacks, by_time = self.settings.readbacks, channels_followed(self.channels.rules)
        if readbacks is None:
            return
        yield from readbacks.notes
        if by_time:
            exposure_s = 0.0 if math.isnan(self.facts.exposure_s) else self.facts.exposure_s
            yield from check_clocks(
                self.recording, readbacks, by_time, self.rules.frame_time, exposure_s, self.first.timestamp_ns
            )

    def closing_notes(self) -> Iterator[str]:
        """Sentences on frames and rows of the log without counterparts; to be read at the end."""
        if self._rows is not None:
            yield from self._rows.notes()
        yield from self._coverage.notes()

    def _energy_of(self, first: Frame) -> float:
        """Energy that readers find before the end, when it becomes that of the rows."""
        for rule in self.channels.rules:
            own = first.attributes.get(rule.attribute)
            if rule.name == "energy" and isinstance(own, int | float) and math.isfinite(own):
                return own * rule.scale
        return self.facts.energy_eV


def scan_name(recording: Recording, settings: IngestSettings) -> str:
    """Never that of the output: copies and trials of one scan are one scan."""
    return settings.scan_id or recording.title or _of_file(recording)


def _of_file(recording: Recording) -> str:
    """`scan001` of `scan001_raw.h5` and of the pattern `scan001_*.tif`."""
    stem = IN_A_PATTERN.sub("", recording.path.stem).rstrip("_-. ")
    return KINDS.sub("", stem) or "scan"
