"""The numbers the file uses for names: fates of frames, pairing flags, pixel flags, states of a run.

The writer is told numbers and never imports who decided them, so the names stand here once more; a test holds them
equal to `core` and to the CXI specification. The file carries them as attributes, so that it explains itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

STATUS_CODES: Mapping[int, str] = {
    0: "pending",
    1: "stored",
    2: "backfilled",
    3: "lost",
    4: "incomplete",
    5: "not_exposed",
}
"""What became of a frame: `/entry/frames/status` (0 = unused slot) and `/entry/ledger/status`."""

STORED_CODES = (1, 2)
"""The fates that mean: this frame is in the file."""

FLAG_CODES: Mapping[int, str] = {
    1: "disconnected",
    2: "invalid",
    4: "unbracketed",
    8: "missing",
    16: "uncertain",
    32: "no_time",
    64: "clocks_disagree",
    128: "stale",
    256: "spread",
}
"""Bits of `/entry/frames/flags`: why a value paired with a frame is not to be trusted."""

PIXEL_FLAGS: Mapping[int, str] = {
    0x1: "invalid",
    0x2: "saturated",
    0x4: "hot",
    0x8: "dead",
    0x10: "shadowed",
    0x80: "bad",
    0x200: "missing",
    0x400: "noisy",
    0x1000: "has signal",
}
"""Bits of `detectorSpecific/pixel_mask`, from the CXI 1.6 specification, section Detector."""

RUN_STATES = ("IDLE", "ARMED", "RECEIVING", "DRAINING", "COMPLETE", "INCOMPLETE", "ABORTED", "FAILED")
END_STATES = ("COMPLETE", "INCOMPLETE", "ABORTED", "FAILED")

FATE_COUNTS = ("stored", "backfilled", "lost", "incomplete", "not_exposed")
"""Scalars in `/entry/ledger` that add up to `expected` once a run has ended."""

LEDGER_COUNTS = ("expected", *FATE_COUNTS, "duplicates", "surplus")
"""All scalar counts in `/entry/ledger`."""


def codes_as_text(codes: Mapping[int, str]) -> str:
    """A table of codes as JSON, number to name, for an attribute."""
    return json.dumps({str(number): name for number, name in codes.items()})
