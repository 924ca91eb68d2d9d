"""The lines of a journal, one JSON document each, validated when they are read: a file may hold anything."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, field_validator, model_validator

from stream_service.core.epoch import Epoch, Reached
from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.pairing.readback import Unheard
from stream_service.core.run import EndReason
from stream_service.core.stream import Begin
from stream_service.run.journal import FileBegin
from stream_service.settings.base import Settings
from stream_service.settings.request import MOST_FRAMES, ScanRequest

Count = Annotated[int, Field(ge=0)]
Whole = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
Side = Annotated[int, Field(ge=1)]


class Series(Settings):
    """`Begin` as JSON."""

    first_unique_id: Whole
    is_certain: bool
    restart_unique_id: Whole
    epoch: Whole
    last_before: tuple[Whole, Whole] | None
    is_counted: bool
    counter_before: Whole | None
    has_stamps: bool

    @classmethod
    def of(cls, begin: Begin) -> Self:
        """What stays true of it when the service has been started again."""
        return cls.model_validate({name: getattr(begin, name) for name in cls.model_fields})

    def to_core(self) -> Begin:
        """As a source says it."""
        return Begin(**self.model_dump())


class Armed(Settings):
    """The first line."""

    kind: Literal["armed"] = "armed"
    version: str
    """Of the software."""
    armed_ns: Count
    profile: dict[str, Any]
    references: dict[str, str]
    """What dark, flat and mask were, by a digest each."""
    request: ScanRequest
    series: Series
    is_auto: bool = False
    """True of a run that no plan armed."""


class Numbered(Settings):
    """The run has its number in the service: who armed it has been answered."""

    kind: Literal["numbered"] = "numbered"
    number: Count


class Began(Settings):
    """`FileBegin` as JSON."""

    kind: Literal["began"] = "began"
    raw_shape: tuple[Side, Side]
    dtype: str
    energy_eV: float | None
    exposure_s: float | None
    start_timestamp_ns: Count

    @field_validator("dtype")
    @classmethod
    def _is_one_of_pixels(cls, value: str) -> str:
        try:
            kind = np.dtype(value).kind
        except (TypeError, ValueError, SyntaxError):
            kind = ""
        if kind not in tuple("iuf"):
            raise ValueError(f"{value!r} is no type of pixels")
        return value

    @model_validator(mode="after")
    def _frame_is_not_too_large(self) -> Self:
        if math.prod(self.raw_shape) > MOST_FRAME_BYTES:
            raise ValueError(f"no frame has {self.raw_shape} pixels")
        return self

    @classmethod
    def of(cls, begin: FileBegin) -> Self:
        """As it is when the file is made."""
        return cls(
            raw_shape=begin.raw_shape,
            dtype=begin.dtype.str,
            energy_eV=begin.energy_eV if math.isfinite(begin.energy_eV) else None,
            exposure_s=begin.exposure_s if math.isfinite(begin.exposure_s) else None,
            start_timestamp_ns=max(0, begin.start_timestamp_ns),
        )

    def to_begin(self) -> FileBegin:
        """For the file in which the run goes on."""
        energy_eV, exposure_s = (math.nan if value is None else value for value in (self.energy_eV, self.exposure_s))
        return FileBegin(self.raw_shape, np.dtype(self.dtype), energy_eV, exposure_s, self.start_timestamp_ns)


class FoundGaps(Settings):
    """Raw pixels that do not measure, one bit each, in zlib and base64; None: all do."""

    kind: Literal["gaps"] = "gaps"
    bits: str | None


class ArraysBefore(Settings):
    """What hardware-captured arrays held before the run: number of entries and a digest, by channel."""

    kind: Literal["arrays"] = "arrays"
    held: dict[str, tuple[Count, str]]

    def to_core(self) -> dict[str, Held]:
        """As pairing has them."""
        return {channel: Held(*held) for channel, held in self.held.items()}


class Counted(Settings):
    """The epochs from the `first` on."""

    kind: Literal["epochs"] = "epochs"
    first: Count
    epochs: list[tuple[Whole, Annotated[int, Field(ge=0, le=2 * MOST_FRAMES)], Whole, Whole]]
    """First id, first ordinal, `after_ns` and `given` of each, see `Epoch`."""
    n_announced: Annotated[int, Field(ge=0, le=2 * MOST_FRAMES)]

    def to_core(self) -> list[Epoch]:
        """As the ledger has them."""
        return [Epoch(*epoch) for epoch in self.epochs]


class Saturated(Settings):
    """Stored pixels that saturated for the first time, as `FoundGaps` has them; None: those from then on are not
    told."""

    kind: Literal["saturated"] = "saturated"
    shape: tuple[Side, Side]
    bits: str | None

    @model_validator(mode="after")
    def _frame_is_not_too_large(self) -> Self:
        if math.prod(self.shape) > MOST_FRAME_BYTES:
            raise ValueError(f"no frame has {self.shape} pixels")
        return self


class NotHeard(Settings):
    """Stretches of which the record of the channels does not tell: channel, from and to, see `Unheard`."""

    kind: Literal["unheard"] = "unheard"
    stretches: list[tuple[str, Whole | None, Whole | None]]

    def to_core(self) -> list[Unheard]:
        """As pairing has them."""
        return [Unheard(*stretch) for stretch in self.stretches]


class Received(Settings):
    """How far frames have come; the one line that is written over, in its place."""

    kind: Literal["received"] = "received"
    epoch: Count
    n_seen: Annotated[int, Field(ge=0, le=2 * MOST_FRAMES)]
    last_unique_id: Whole
    last_timestamp_ns: Whole

    @classmethod
    def of(cls, reached: Reached) -> Self:
        """As the ledger has it."""
        return cls.model_validate(reached._asdict())

    def to_core(self) -> Reached:
        """As the ledger has it."""
        return Reached(self.epoch, self.n_seen, self.last_unique_id, self.last_timestamp_ns)


class Repeats(Settings):
    """All positions that are repeated."""

    kind: Literal["repeats"] = "repeats"
    positions: tuple[Count, ...]


class Drains(Settings):
    """The run has begun to end."""

    kind: Literal["drains"] = "drains"
    reason: EndReason
    n_exposed: Count | None


class Resumed(Settings):
    """A service goes on with the run."""

    kind: Literal["resumed"] = "resumed"
    version: str
    resumed_ns: Count


class Ended(Settings):
    """The file is closed; the interrupted ones of these names are to be removed."""

    kind: Literal["ended"] = "ended"
    superseded: list[str]


Line = (
    Armed
    | Numbered
    | Began
    | ArraysBefore
    | FoundGaps
    | Saturated
    | NotHeard
    | Counted
    | Received
    | Repeats
    | Drains
    | Resumed
    | Ended
)
LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def packed(are_chosen: npt.NDArray[np.bool_]) -> str:
    """Pixels as text, one bit each, in zlib and base64."""
    return base64.b64encode(zlib.compress(np.packbits(are_chosen).tobytes())).decode()


def unpacked(bits: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels (y, x) that `packed` has made a text of. Raises `ValueError`."""
    n_bytes = -(-math.prod(shape) // 8)
    try:
        whole = zlib.decompressobj().decompress(base64.b64decode(bits, validate=True), n_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"the pixels cannot be read ({error})") from error
    if len(whole) != n_bytes:
        raise ValueError("there are not as many pixels as in a frame")
    return np.unpackbits(np.frombuffer(whole, np.uint8), count=math.prod(shape)).reshape(shape) != 0


def encoded(line: Line) -> bytes:
    """As it stands in the file, without its end."""
    return line.model_dump_json().encode()
