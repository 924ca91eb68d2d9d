"""The hardware-captured arrays of a run, by channel: what a frame has of them, and which rows can be put right late."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import POSITION_CHANNELS, Exposure, Flag
from stream_service.core.pairing.entry_matching import EntryMatching
from stream_service.core.pairing.hardware_array import HardwareArray, Held
from stream_service.core.pairing.interpolation import Reading
from stream_service.core.pairing.matching_notes import apart_note, matching_notes, miscount_note
from stream_service.core.pairing.readback import Entries
from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.core.pairing.trigger_alignment import UNSURE
from stream_service.core.pairing.waiting import Changing

NO_ENTRY = Reading(math.nan, Flag.MISSING)
UNMATCHED = Reading(math.nan, Flag.UNMATCHED)
WITHOUT_ENTRY = Flag.MISSING | Flag.UNMATCHED


class HardwareArrays:
    """The channels whose rule is `index`."""

    def __init__(self, rules: Sequence[ChannelRule]) -> None:
        self._rules = {rule.name: rule for rule in rules if rule.how is How.INDEX}
        of_rules = self._rules.values()
        self._arrays = {rule.name: HardwareArray(rule.skip_first, comes=rule.comes) for rule in of_rules}
        self._times = {rule.times: HardwareArray(rule.skip_first, comes=rule.comes) for rule in of_rules if rule.times}
        self._matchings = {
            rule.times: EntryMatching(self._times[rule.times], rule.times_scale_s, may_end_apart=rule.may_end_apart)
            for rule in of_rules
            if rule.times
        }
        self._all = self._arrays | self._times
        self._restored: dict[int, Exposure] = {}
        """By ordinal, exposures of rows that an earlier service has written, and that lack entries."""
        self._n_exposed = 0
        """Frames that were exposed, once all is there."""
        self._miscounted: list[str] = []
        """Channels of arrays without times that have not as many entries as frames were exposed."""
        self._apart: list[str] = []
        """Likewise those that may end apart."""

    def __getitem__(self, channel: str) -> HardwareArray:
        return self._arrays[channel]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def changing(self, channel: str) -> tuple[Changing, ...]:
        """What a frame may wait for that lacks its entry of this channel."""
        matching = self._matchings.get(self._rules[channel].times)
        return (self._arrays[channel],) if matching is None else (self._arrays[channel], matching)

    def add_frame(self, ordinal: int, timestamp_ns: int) -> None:
        """A frame has come, or is known to have come before the run went on."""
        for matching in self._matchings.values():
            matching.add_frame(ordinal, timestamp_ns)

    def has_all_frames(self) -> None:
        """No frame is on its way any more, but those that are fetched."""
        for matching in self._matchings.values():
            matching.has_all_frames()

    def update(self, entries: Entries) -> None:
        """Take an array as it is now; those of channels nobody pairs by index are ignored."""
        if array := self._all.get(entries.channel):
            array.update(entries.values, is_from_before=entries.is_from_before, is_exact=entries.is_exact)
        if matching := self._matchings.get(entries.channel):
            matching.advance()

    def end(self, channel: str) -> None:
        """Nothing more comes of this array."""
        if array := self._all.get(channel):
            array.end()
        if matching := self._matchings.get(channel):
            matching.advance()

    def conclude(self, n_exposed: int, *, is_cut_off: bool = False) -> None:
        """Nothing more comes of any, nor a frame; so many were exposed. `is_cut_off`: the run did not wait for it,
        or nobody tells whether more were."""
        self._n_exposed, self._miscounted, self._apart = n_exposed, [], []
        self.end_all()
        for matching in self._matchings.values():
            matching.conclude(n_exposed, is_cut_off=is_cut_off)
        for name, rule in self._rules.items():
            array = self._arrays[name]
            if not rule.times and array.n_entries not in (0, n_exposed):
                (self._apart if rule.may_end_apart else self._miscounted).append(name)

    def end_all(self) -> None:
        """Nothing more comes of any. One trigger fills all: where one has an entry, others of its length have one."""
        arrays = self._all.values()
        filled = {array: max(other.n_filled for other in arrays if other.n_held == array.n_held) for array in arrays}
        for array, n_filled in filled.items():
            array.n_filled = n_filled
            array.end()

    def reading(self, channel: str, ordinal: int, *, as_told: bool = False) -> Reading | None:
        """Value of a channel for the frame with this ordinal; None if its entry may still come.

        `as_told` as in `HardwareArray.reading`.
        """
        array, rule = self._arrays[channel], self._rules[channel]
        if channel in self._miscounted:
            return UNMATCHED
        if not rule.times:
            return array.reading(ordinal, as_told=as_told)
        entry = self._matchings[rule.times].entry(ordinal)
        if entry is None:
            return None
        if entry < 0:
            return UNMATCHED if entry == UNSURE else NO_ENTRY
        return array.reading(entry, as_told=as_told)

    def final_values(
        self, channel: str, ordinals: Sequence[int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
        """(n,) what the whole run tells of frames, in SI units, and whether it tells; None where nothing is to be told
        that was not known when they left."""
        rule = self._rules[channel]
        if not rule.times and channel not in self._miscounted:
            return None
        readings = [self.reading(channel, ordinal, as_told=True) or NO_ENTRY for ordinal in ordinals]
        values = np.array([reading.value for reading in readings], np.float64) * rule.scale
        return values, np.array([not reading.flag & Flag.UNMATCHED for reading in readings], np.bool_)

    def counted_values(self, channel: str, ordinals: Sequence[int]) -> npt.NDArray[np.float64] | None:
        """(n,) what an array without times has for frames, in SI units; NaN: no entry. None for another channel."""
        rule = self._rules[channel]
        if rule.times or channel in self._miscounted:
            return None
        array = self._arrays[channel]
        readings = [array.reading(ordinal, as_told=True) or NO_ENTRY for ordinal in ordinals]
        return np.array([reading.value for reading in readings], np.float64) * rule.scale

    @property
    def are_positions_counted(self) -> bool:
        """True if a position depends on how many frames were made before, and not on the times of the entries."""
        return any(name in POSITION_CHANNELS and not rule.times for name, rule in self._rules.items())

    @property
    def n_counted(self) -> set[int]:
        """Entries of the arrays that have no times, as far as they have any."""
        return {self._arrays[name].n_entries for name, rule in self._rules.items() if not rule.times} - {0}

    @property
    def held_before(self) -> dict[str, Held]:
        """What each array held before the run."""
        return {name: array.before for name, array in self._all.items()}

    def go_on(self, held_before: Mapping[str, Held]) -> None:
        """The run goes on: what the arrays hold now may be its own, unless it is what they held before it."""
        for name, held in held_before.items():
            if array := self._all.get(name):
                array.go_on(held)

    def restore(self, ordinals: Iterable[int], *, lack_entries: bool) -> None:
        """Rows of these frames have been written before the run went on."""
        for ordinal in ordinals:
            for array in self._arrays.values():
                array.leave(ordinal, Flag.MISSING if lack_entries else Flag.NONE)

    def put_right_later(self, exposures: Iterable[Exposure]) -> None:
        """Rows of these exposures, which lack entries, can be put right."""
        if {*self._arrays}.issuperset(POSITION_CHANNELS):  # else the other axis is not known any more
            self._restored.update((exposure.ordinal, exposure) for exposure in exposures)

    @property
    def may_come(self) -> bool:
        """True while there may be more entries of an array."""
        return any(array.may_come for array in self._arrays.values())

    @property
    def wait_for_frames(self) -> bool:
        """True if a frame may have to wait for later ones, which tell what its entry is."""
        return bool(self._matchings)

    def may_put_right(self, flags: Flag) -> bool:
        """True if more may become known of a frame that left with these flags."""
        return bool(flags & Flag.UNMATCHED) or (bool(flags & Flag.MISSING) and self.may_come)

    @property
    def may_exceed_frames(self) -> bool:
        """True while there may be more entries than frames, which would tell that some are not where they seem."""
        return any(self._arrays[name].may_come and not rule.may_end_apart for name, rule in self._rules.items())

    @property
    def n_awaited(self) -> int:
        """Frames that left without an entry that may still come."""
        return max((self._n_awaited(name) for name, array in self._arrays.items() if array.may_come), default=0)

    def _n_awaited(self, name: str) -> int:
        array, times = self._arrays[name], self._rules[name].times
        if not times:
            return array.n_awaited
        lacks_entries = array.n_entries < self._times[times].n_entries
        return max(self._matchings[times].n_open, array.n_lacking if lacks_entries else 0)

    @property
    def n_entries(self) -> int:
        """Of all arrays; it grows while entries come."""
        return sum(array.n_entries for array in self._arrays.values())

    def known_late(self) -> list[Exposure]:
        """The exposures, without pixels, of restored rows whose entries are all there now; each is given once."""
        known = [exposure for exposure in map(self._with_entries, self._restored.values()) if exposure is not None]
        for exposure in known:
            del self._restored[exposure.ordinal]
        for array in self._arrays.values():
            array.settle()
        return known

    def _with_entries(self, exposure: Exposure) -> Exposure | None:
        values, found, of_position = dict(exposure.values), Flag.NONE, Flag.NONE
        for name, rule in self._rules.items():
            reading = self.reading(name, exposure.ordinal) or NO_ENTRY
            if reading.flag & WITHOUT_ENTRY and name in POSITION_CHANNELS:
                return None
            values[name] = reading.value * rule.scale
            found |= reading.flag
            if name in POSITION_CHANNELS:
                of_position |= reading.flag
        others = exposure.flags if math.isnan(values["energy"]) else exposure.flags & ~WITHOUT_ENTRY
        return replace(exposure, values=values, flags=others | found, position_flags=of_position, uncertainty_m=0.0)

    def notes(self) -> list[str]:
        """What does not fit of the arrays, in sentences."""
        notes = []
        for name, array in self._arrays.items():
            notes += array.notes(name, are_counted=not self._rules[name].times and name not in self._miscounted)
        for channels, note in ((self._miscounted, miscount_note), (self._apart, apart_note)):
            for n_entries in dict.fromkeys(self._arrays[name].n_entries for name in channels):
                names = [name for name in channels if self._arrays[name].n_entries == n_entries]
                notes.append(note(names, n_entries, self._n_exposed))
        for times, matching in self._matchings.items():
            names = [name for name, rule in self._rules.items() if rule.times == times]
            notes += matching_notes(names, matching, self._times[times])
        return notes
