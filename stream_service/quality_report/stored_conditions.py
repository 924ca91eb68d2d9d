"""Ring current and shutter of rows of a file that has none beside them, from the readbacks that it holds."""

from __future__ import annotations

import numpy as np

from stream_service.core.conditions import RING_CURRENT, SHUTTER, Conditions
from stream_service.core.pairing.readback import Readback
from stream_service.sources.hdf5.recording import Hdf5Recording
from stream_service.standard_file.read.stored_settings import StoredSettings
from stream_service.standard_file.schema import paths


def stored_conditions(recording: Hdf5Recording, made_with: StoredSettings, *, reads_updates: bool) -> Conditions:
    """What its channels told, or which these are only. Raises `SourceError` for a damaged file."""
    told, quality = {}, made_with.quality()
    for name in (RING_CURRENT, SHUTTER) if recording.is_standard else ():
        value, stamps = (recording.stored(f"{paths.READBACKS}/{name}/{part}") for part in ("value", "timestamp_ns"))
        if value is not None and stamps is not None and value.is_numeric and stamps.is_numeric:
            told[name] = value, stamps
    conditions = Conditions(
        {name: value.text("units") for name, (value, _) in told.items()},
        made_with.frame_time,
        min_ring_current_mA=quality.min_ring_current_mA,
        open_when=quality.shutter_open_when,
    )
    for name, (value, stamps) in told.items() if reads_updates else ():
        n = min(value.rows, stamps.rows)
        updates = zip(value.read(0, n).tolist(), stamps.read(0, n).tolist(), strict=True)
        conditions.add(Readback(name, number, stamp_ns, bool(np.isfinite(number))) for number, stamp_ns in updates)
    return conditions
