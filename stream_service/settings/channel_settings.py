"""Settings of one readback that belongs to every frame: where it is, and how it is paired."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stream_service.core.pairing.rule import How, Over
from stream_service.settings.array_times import ArrayTimes
from stream_service.settings.base import Settings


class Motion(Settings):
    """The PV that tells whether an axis moves."""

    pv: str
    """A motor record's `.MOVN`, or any PV that is one value while moving. `.DMOV` has no time for the start of a
    motion: the record's `.MOVN` is followed in its place, or, where there is none, rows between two moves are
    flagged."""
    moving_when: Literal[0, 1] = 0
    """The value that means moving: 1 for `.MOVN`, 0 for `.DMOV`."""

    @model_validator(mode="after")
    def _is_that_of_a_motor_record(self) -> Motion:
        for field, moving_when in ((".MOVN", 1), (".DMOV", 0)):
            if self.pv.endswith(field) and self.moving_when != moving_when:
                raise ValueError(
                    f"{self.pv} is {moving_when} while the motor moves: write moving_when: {moving_when}, or rest is "
                    "taken for motion"
                )
        return self


class ChannelSettings(Settings):
    """One readback that belongs to every frame."""

    how: How
    """`attribute` (the NDAttribute on the frame), `timestamp` (the PV's own history at mid-exposure) or, for x, y and
    energy, `index` (an array captured by hardware, with an entry for each frame of the run)."""
    pv: str = ""
    """The readback PV. Needed for `timestamp`; for `attribute` the PV behind the NDAttribute: its history is recorded,
    and rows whose attribute does not follow it are flagged. Without it a stale attribute is not found. For `index`
    the array: it is emptied when the hardware is armed, and holds what was captured and no zeros after it; a waveform
    over CA, or `pva://` and the name of an NTScalarArray."""
    dataset: str = ""
    """For `index`: the array in the file that hardware writes (`arrays_file`, where there is no `pv`; --arrays of
    `ingest`), such as `/INENC1.VAL.Mean`."""
    skip_first: Annotated[int, Field(ge=0)] = 0
    """For `index`: so many entries at the start of the array belong to no frame (1 where hardware captures one of the
    acquisition before)."""
    times: ArrayTimes | None = None
    """For `index`: when each entry was captured, such as `/PCAP.TS_TRIG.Value`. It tells where hardware missed a
    trigger, or had one too many. Without it, nothing does but their number, see `may_end_apart`."""
    may_end_apart: bool | None = None
    """For `index`: whether more or fewer entries than frames are taken as those of a capture that was longer or shorter
    than the exposures. If not, it may as well have been a trigger that was missed, or one too many, and rows whose
    entry cannot be told are flagged: without `times` all. Default: false with `times`, true without."""
    attribute: str = ""
    """Name of the NDAttribute, for `attribute`."""
    unit: str
    """Unit of the PV or attribute: m, mm, um, nm for positions; eV, keV for the energy; any other is recorded."""
    over: Over = Over.MID
    """For `timestamp`: `mid` is the value at mid-exposure, `window` the mean over the exposure. They differ only where
    the axis starts, stops or turns within one."""
    moving: Motion | None = None
    """For an axis paired by `timestamp`, so that rest and motion are facts. Without it, declare one of the next two."""
    continuous: bool = True
    """For `timestamp` without `moving`: false for a channel that jumps and then keeps its value (a state, a ring
    current). Of x and y for step scans only, if the PV posts when the stage has arrived: frames taken on the way would
    have the old position."""
    gap_s: Annotated[float, Field(gt=0)] | None = None
    """For `timestamp` without `moving`: while the axis moves, it posts at least this often, so that silence is rest.
    If it is not given, updates up to 0.25 s apart count as motion, and rows without an update that close are
    flagged."""

    @property
    def ends_apart(self) -> bool:
        """`may_end_apart`, or its default."""
        return self.times is None if self.may_end_apart is None else self.may_end_apart

    @property
    def tells_rest(self) -> bool:
        """True if it is known, of a channel paired by `timestamp`, when it is at rest."""
        return self.moving is not None or self.gap_s is not None or not self.continuous

    @model_validator(mode="after")
    def _names_its_source(self) -> Self:
        if self.how is How.TIMESTAMP and not self.pv:
            raise ValueError("a channel paired by 'timestamp' needs 'pv', the PV whose history is followed")
        if self.how is How.INDEX and not (self.pv or self.dataset):
            raise ValueError("a channel paired by 'index' needs 'pv', the array, or 'dataset', for files of arrays")
        if self.how is not How.INDEX and self.pv.startswith("pva://"):
            raise ValueError(
                f"{self.pv}: over PVA only arrays are followed ('how: index'); other readbacks come over CA"
            )
        if self.how is not How.INDEX and (
            self.dataset or self.skip_first or self.times or self.may_end_apart is not None
        ):
            raise ValueError(
                "'dataset', 'skip_first', 'times' and 'may_end_apart' only make sense for a channel paired by 'index'"
            )
        if self.times is not None:
            self.times.check_beside(self.pv, self.dataset)
        if self.how is How.ATTRIBUTE and not self.attribute:
            raise ValueError("a channel paired by 'attribute' needs 'attribute', the name of the NDAttribute")
        for option, is_given in (("moving", self.moving is not None), ("over", self.over is not Over.MID)):
            if is_given and self.how is not How.TIMESTAMP:
                raise ValueError(f"'{option}' only makes sense for a channel paired by 'timestamp'")
        return self
