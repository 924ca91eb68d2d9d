"""The numbers the file uses for names: status of frames, pairing flags, pixel flags, states of a run.

Who decides them is `core`; the file carries them as attributes, so that it explains itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum, IntFlag

from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import END_STATES as ENDED
from stream_service.core.run import RunState


class PixelFlag(IntFlag):
    """Bits of `detectorSpecific/pixel_mask`, from the CXI 1.6 specification, section Detector."""

    INVALID = 0x1
    SATURATED = 0x2
    HOT = 0x4
    DEAD = 0x8
    SHADOWED = 0x10
    BAD = 0x80
    MISSING = 0x200
    NOISY = 0x400
    HAS_SIGNAL = 0x1000


def names_of(codes: type[IntEnum] | type[IntFlag]) -> dict[int, str]:
    """Number to name, as the file has it."""
    return {code.value: (code.name or "").lower() for code in codes}


STATUS_CODES: Mapping[int, str] = names_of(FrameStatus)
"""What became of a frame: `/entry/frames/status` (0 = unused slot) and `/entry/ledger/status`."""

STORED_CODES = (FrameStatus.STORED, FrameStatus.BACKFILLED)
"""Those that mean: this frame is in the file."""

FLAG_CODES: Mapping[int, str] = names_of(Flag)
"""Bits of `/entry/frames/flags`: why a value paired with a frame is not to be trusted."""

PIXEL_FLAGS: Mapping[int, str] = {bit: name.replace("_", " ") for bit, name in names_of(PixelFlag).items()}

RUN_STATES = tuple(map(str, RunState))
END_STATES = tuple(map(str, ENDED))

STATUS_COUNTS = ("stored", "backfilled", "lost", "incomplete", "not_exposed")
"""Scalars in `/entry/ledger` that add up to `expected` once a run has ended."""

LEDGER_COUNTS = ("expected", *STATUS_COUNTS, "duplicates", "unexpected")
"""All scalar counts in `/entry/ledger`."""

EARLIER_COUNTS = {"unexpected": "surplus"}
"""Names that counts have in files written until November 2026."""


def codes_as_text(codes: Mapping[int, str]) -> str:
    """A table of codes as JSON, number to name, for an attribute."""
    return json.dumps({str(number): name for number, name in codes.items()})
