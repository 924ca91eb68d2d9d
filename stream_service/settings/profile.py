"""The profile: everything the service must know about a beamline, one YAML file, parsed once at the edge.

Units are in the names of fields or said beside them. A field that is not known is an error, not a surprise later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stream_service.core.clock import DEFAULT_LIMIT_S
from stream_service.core.exposure import POSITION_CHANNELS
from stream_service.core.frame import FrameTime, Marks
from stream_service.core.pairing.rule import INTERPOLATION_GAP_S, POSITION_TOLERANCE_M, ChannelRule, Comes, How
from stream_service.core.plausibility import number_doubt
from stream_service.core.stage_map import StageMap
from stream_service.settings.array_times import TIMES, times_channel
from stream_service.settings.arrays_file import ArraysFileSettings
from stream_service.settings.base import Settings
from stream_service.settings.channel_settings import ChannelSettings
from stream_service.settings.frames import Frames, with_frame_time, with_frames
from stream_service.settings.optics import Optics
from stream_service.settings.preprocessing import Preprocessing, References
from stream_service.settings.quality import QualitySettings
from stream_service.settings.raw_file import RawFileSettings
from stream_service.settings.request import MOST_FRAMES_PER_POSITION
from stream_service.text.units import ELECTRONVOLTS, METRES

PAIRED_CHANNELS = (*POSITION_CHANNELS, "energy")
CHANNEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
MOVING = "_moving"
"""Ends the name under which the motion of a channel is followed."""
RENAMED = {"pairing_patience_s": "pairing_timeout_s"}
"""Settings by their earlier names, which profiles may still have."""


class ServiceSettings(Settings):
    """The daemon itself."""

    prefix: str = "PTYCHO:"
    """Prefix of the service's own PVs, CA and PVA."""
    data_root: Path
    """Folder below which all files are written; a plan can only choose a path below it."""
    reference_roots: tuple[Path, ...] = ()
    """Folders beside data_root below which a request's references may lie, and to which reference files may lead."""
    messages: str = ""
    """ZMQ address at which verdicts are published as JSON, such as `tcp://*:5556`; empty: nowhere. See messages.md."""
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port at which Prometheus gets the service's metrics, on `metrics_address`; none: nowhere. See metrics.md."""
    metrics_address: str = "127.0.0.1"
    """Address of this machine at which it listens; metrics need no token, so that others may only be let in by a
    network in which all may read them."""
    report: bool = True
    """Write a report of each run beside its file when it has ended: `<scan_id>_report.html`."""
    auto: bool = False
    """Take every scan, also those that no plan armed: such a run begins with the detector's first frame."""
    journal_root: Path | None = None
    """Folder for what the service must know of its runs to go on with them after a crash. Left out: `.ptychostream`
    below data_root."""
    resume_s: Annotated[float, Field(gt=0)] = 600.0
    """A run whose service was away for longer takes no more frames: its file is put in order, and closed."""
    grace_s: Annotated[float, Field(gt=0)] = 60.0
    """A run ends when the detector has been idle and no frame came for this long. Longer than the slowest move."""
    armed_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """An armed run ends INCOMPLETE when no frame has come for this long: its plan has died, or was forgotten."""
    gone_s: Annotated[float, Field(gt=0)] = 30.0
    """A run ends INCOMPLETE when the detector's IOC has not answered for this long."""
    drain_s: Annotated[float, Field(gt=0)] = 2.0
    """After `Stop`, how long frames that the detector counted may still be on their way."""
    pairing_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """How long a frame waits at most for a readback that does not come, before its row is flagged."""
    clock_limit_s: Annotated[float, Field(gt=0)] = DEFAULT_LIMIT_S
    """How far the clocks of frames and readbacks may differ; rows paired by time across more are flagged, not used."""
    frame_queue_MiB: Annotated[float, Field(gt=0)] = 128.0
    """Budget of the frames that wait for the run (PVA's queueSize follows from it), and of those that wait for
    readbacks, each: when more of these wait, the one that came first is stored with its row flagged."""


class FrameTimeSettings(Settings):
    """Meaning of the detector's timestamp."""

    field: Literal["timeStamp", "dataTimeStamp"] = "timeStamp"
    """`timeStamp` is the EPICS time of the NDArray, `dataTimeStamp` the driver's own, which alone ADZMQ sends."""
    marks: Marks = Marks.END
    """Simulated detectors stamp the end of the exposure, Eigers the start, as SIMPLON and Stream2 do."""
    offset_s: float = 0.0
    """Clock of the readbacks minus clock of the detector."""
    delay_s: Annotated[float, Field(ge=0)] = 0.0
    """From the end of an exposure until its frame comes over the network (a slow readout): tells it from a wrong
    clock."""

    def to_core(self) -> FrameTime:
        return FrameTime(self.marks, self.offset_s)


class DetectorSettings(Settings):
    """The areaDetector whose frames are streamed."""

    frames: Frames
    acquire_pv: str
    """CA PV that is 1 while the detector acquires (`cam1:Acquire_RBV`)."""
    counter_pv: str
    """CA PV with the uniqueId of the latest frame (`cam1:ArrayCounter_RBV`): from it the ids expected follow. SIMPLON
    and Stream2 count the frames of each series by themselves."""
    exposure_pv: str
    """CA PV of the exposure time in seconds (`cam1:AcquireTime_RBV`)."""
    exposure_attribute: str = ""
    """NDAttribute with the frame's own exposure time in seconds: right even if it changes during a run. `real_time` of
    SIMPLON and Stream2."""
    first_id: Literal["after_counter"] | Annotated[int, Field(ge=0)] = "after_counter"
    """First uniqueId of a run: `after_counter`, or the first id of a detector that resets its counter for each run."""
    shards: Annotated[int, Field(ge=1)] = 1
    """Services among which NDPluginScatter divides the frames, of which this one gets every so many-th: one with 4 has
    all it should when it has a quarter. Which, its first frame tells. See shards.md."""
    restart_id: Annotated[int, Field(ge=0)] = 1
    """The uniqueId of the first frame after the counter was reset."""
    frame_time: FrameTimeSettings = FrameTimeSettings()
    sensor_shape: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    """Rows and columns of the sensor: sizes the queue of a detector that has sent no frame yet."""
    axis_signs: tuple[Literal[1, -1], Literal[1, -1]] = (1, 1)
    """+1 if the rows (columns) of a *stored* frame grow with +y (+x) of the beam on the sample; see file-format.md."""
    distance_m: Annotated[float, Field(gt=0)]
    """Sample to detector."""
    pixel_m: Annotated[float, Field(gt=0)]
    """Pitch of the detector's pixels."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_the_transport_says(cls, given: Any) -> Any:
        return with_frame_time(with_frames(given)) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _numbers_can_be_meant(self) -> Self:
        numbers = {"det_dist_m": ("distance_m", self.distance_m), "pixel_m": ("pixel_m", self.pixel_m)}
        for name, (field, value) in numbers.items():
            if (doubt := number_doubt(name, value)) is not None:
                raise ValueError(f"{field} {doubt.message}")
        return self


class Profile(Settings):
    """A beamline, as the service sees it."""

    beamline: str
    """Name of the beamline, recorded in every file."""
    service: ServiceSettings
    detector: DetectorSettings
    channels: dict[str, ChannelSettings]
    """`x`, `y` and `energy` are needed; any other is recorded with each run."""
    stage_map: tuple[tuple[float, float], tuple[float, float]] = ((-1.0, 0.0), (0.0, -1.0))
    """Beam on sample = stage_map · stage. A stage that moves the sample has −1 on the diagonal."""
    position_tolerance_m: Annotated[float, Field(gt=0)] = POSITION_TOLERANCE_M
    """A row whose stage, as far as its updates tell, may have been further off than this is flagged, and not used."""
    arrays_file: ArraysFileSettings = ArraysFileSettings()
    preprocessing: Preprocessing = Preprocessing()
    references: References = References()
    raw_file: RawFileSettings = RawFileSettings()
    optics: Optics = Optics()
    quality: QualitySettings = QualitySettings()

    @field_validator("channels")
    @classmethod
    def _needed_channels_are_there(cls, channels: dict[str, ChannelSettings]) -> dict[str, ChannelSettings]:
        for name in PAIRED_CHANNELS:
            if name not in channels:
                raise ValueError(f"channel '{name}' is missing: every profile pairs x, y and energy with its frames")
            units = ELECTRONVOLTS if name == "energy" else METRES
            if channels[name].unit not in units:
                raise ValueError(
                    f"unit {channels[name].unit!r} of channel '{name}' must be one of {', '.join(units.usual)}"
                )
        for name, channel in channels.items():
            if not CHANNEL_NAME.fullmatch(name) or name.endswith((MOVING, TIMES)):
                raise ValueError(
                    f"'{name}' cannot name a channel: letters, digits and '_', not ending in '{MOVING}' or '{TIMES}'"
                )
            if name not in PAIRED_CHANNELS and channel.how is How.INDEX:
                raise ValueError(f"channel '{name}' cannot be paired by 'index': only x, y and energy can")
            if name not in PAIRED_CHANNELS and not channel.pv:
                raise ValueError(f"channel '{name}' is only recorded, so it needs 'pv'")
        return channels

    @field_validator("stage_map")
    @classmethod
    def _stage_map_can_be_inverted(cls, matrix: tuple[tuple[float, float], tuple[float, float]]) -> Any:
        (xx, xy), (yx, yy) = matrix
        if abs(xx * yy - xy * yx) < 1e-9:
            raise ValueError("stage_map maps both axes onto one line; it must be an invertible 2x2 matrix")
        return matrix

    @model_validator(mode="after")
    def _positions_come_with_the_frames(self) -> Self:
        names = [name for name in POSITION_CHANNELS if self.channels[name].how is How.INDEX]
        if names and self.is_grouped_by_position:
            raise ValueError(
                f"preprocessing.group_by: position needs the position of each frame when it comes, and {names[0]} is "
                "taken from an array that hardware captured (how: index), which may come at the end: group by index, "
                "or pair x and y by attribute or timestamp"
            )
        return self

    @model_validator(mode="after")
    def _rows_can_be_asked_for(self) -> Self:
        k = self.preprocessing.frames_per_position
        if k > MOST_FRAMES_PER_POSITION:
            raise ValueError(f"preprocessing.frames_per_position: {k} given, {MOST_FRAMES_PER_POSITION} is the most")
        return self

    @property
    def is_grouped_by_position(self) -> bool:
        """True if rows are the frames of one position, however many."""
        return self.preprocessing.group_by == "position"

    def rules(self) -> tuple[ChannelRule, ...]:
        """Pairing rules of x, y and energy; other channels are recorded, and belong to no single frame."""
        return tuple(
            ChannelRule(
                name=name,
                how=channel.how,
                attribute=channel.attribute,
                scale=self.scale_of(name),
                over=channel.over,
                moving=moving_channel(name) if channel.moving else "",
                is_continuous=channel.continuous,
                gap_s=channel.gap_s or INTERPOLATION_GAP_S,
                rests_in_silence=channel.gap_s is not None,
                tells_travel=channel.how is How.TIMESTAMP and name in POSITION_CHANNELS and self.is_grouped_by_position,
                tolerance=self.position_tolerance_m if name in POSITION_CHANNELS else math.inf,
                has_pv=bool(channel.pv) and channel.how is How.ATTRIBUTE,
                comes=Comes.GROWING if channel.pv or name in self.datasets_of_file else Comes.NEVER,
                skip_first=channel.skip_first,
                times=self.times_of(name),
                times_scale_s=channel.times.scale_s if channel.times else 1.0,
                may_end_apart=channel.ends_apart,
            )
            for name in PAIRED_CHANNELS
            for channel in (self.channels[name],)
        )

    @property
    def datasets_of_file(self) -> dict[str, str]:
        """By channel, the datasets that a live run takes from the file of arrays; none where no file is named."""
        if not self.arrays_file.is_named:
            return {}
        by_index = {name: channel for name, channel in self.channels.items() if channel.how is How.INDEX}
        in_file = [name for name, channel in by_index.items() if not channel.pv]
        return self.datasets_of(in_file)

    def datasets_of(self, names: Iterable[str]) -> dict[str, str]:
        """The datasets of arrays of channels, and those of their times, which are channels, too."""
        found = {name: self.channels[name].dataset for name in names}
        times = {self.times_of(name): self.channels[name].times for name in found}
        return found | {name: of_array.dataset for name, of_array in times.items() if of_array is not None}

    def times_of(self, name: str) -> str:
        """The channel of the times of an array, one for all arrays that have the same ones; empty if it has none."""
        own = self.channels[name]
        if own.times is None:
            return ""
        alike = (own.times, own.skip_first, own.ends_apart)
        first = next(
            other
            for other in PAIRED_CHANNELS
            for channel in (self.channels[other],)
            if (channel.times, channel.skip_first, channel.ends_apart) == alike
        )
        return times_channel(first)

    def scale_of(self, name: str) -> float:
        """Factor from a channel's own unit to metres or electronvolts; 1 for channels that are only recorded."""
        units = {"energy": ELECTRONVOLTS, **dict.fromkeys(POSITION_CHANNELS, METRES)}.get(name)
        return (units.factor(self.channels[name].unit) if units else None) or 1.0

    def to_stage_map(self) -> StageMap:
        (xx, xy), (yx, yy) = self.stage_map
        return StageMap(xx, xy, yx, yy)


def moving_channel(name: str) -> str:
    """The name under which the motion of channel `name` is followed."""
    return name + MOVING
