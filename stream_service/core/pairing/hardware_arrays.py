"""The hardware-captured arrays of a run, by channel: what a frame has of them, and which rows can be put right late."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from stream_service.core.exposure import POSITION_CHANNELS, Exposure, Flag
from stream_service.core.pairing.hardware_array import HardwareArray, Held
from stream_service.core.pairing.interpolation import Reading
from stream_service.core.pairing.readback import Entries
from stream_service.core.pairing.rule import ChannelRule, How

NO_ENTRY = Reading(math.nan, Flag.MISSING)


class HardwareArrays:
    """The channels whose rule is `index`."""

    def __init__(self, rules: Sequence[ChannelRule]) -> None:
        self._rules = [rule for rule in rules if rule.how is How.INDEX]
        self._arrays = {rule.name: HardwareArray(rule.skip_first, comes=rule.comes) for rule in self._rules}
        self._restored: dict[int, Exposure] = {}
        """By ordinal, exposures of rows that an earlier service has written, and that lack entries."""

    def __getitem__(self, channel: str) -> HardwareArray:
        return self._arrays[channel]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def update(self, entries: Entries) -> None:
        """Take an array as it is now; those of channels nobody pairs by index are ignored."""
        if array := self._arrays.get(entries.channel):
            array.update(entries.values, is_from_before=entries.is_from_before, is_exact=entries.is_exact)

    def end(self, channel: str) -> None:
        """Nothing more comes of this array."""
        if array := self._arrays.get(channel):
            array.end()

    def end_all(self) -> None:
        """Nothing more comes of any. One trigger fills all: where one has an entry, others of its length have one."""
        arrays = self._arrays.values()
        filled = {array: max(other.n_filled for other in arrays if other.n_held == array.n_held) for array in arrays}
        for array, n_filled in filled.items():
            array.n_filled = n_filled
            array.end()

    @property
    def held_before(self) -> dict[str, Held]:
        """What each array held before the run."""
        return {name: array.before for name, array in self._arrays.items()}

    def go_on(self, held_before: Mapping[str, Held]) -> None:
        """The run goes on: what the arrays hold now may be its own, unless it is what they held before it."""
        for name, held in held_before.items():
            if array := self._arrays.get(name):
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
    def n_awaited(self) -> int:
        """Frames that left without an entry that may still come."""
        return max((array.n_lacking for array in self._arrays.values() if array.may_come), default=0)

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
        for rule in self._rules:
            reading = self._arrays[rule.name].reading(exposure.ordinal) or NO_ENTRY
            if reading.flag & Flag.MISSING and rule.name in POSITION_CHANNELS:
                return None
            values[rule.name] = reading.value * rule.scale
            found |= reading.flag
            if rule.name in POSITION_CHANNELS:
                of_position |= reading.flag
        others = exposure.flags if math.isnan(values["energy"]) else exposure.flags & ~Flag.MISSING
        return replace(exposure, values=values, flags=others | found, position_flags=of_position, uncertainty_m=0.0)

    def notes(self) -> list[str]:
        """What does not fit of the arrays, in sentences."""
        return [note for name, array in self._arrays.items() for note in array.notes(name)]
