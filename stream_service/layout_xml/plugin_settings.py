"""Settings of the NDFileHDF5 plugin that decide whether a layout works, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_RECORD_BYTES = 2048
"""XMLSIZE of NDFileHDF5.template."""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """None: not known; what depends on it is then a warning, or left out."""

    swmr: bool | None = None
    """PV SWMRMode."""
    attribute_chunk: int | None = None
    """PV NDAttributeChunk: frames after which columns become visible; 0 means NumCapture, or 16384."""
    flush_every: int | None = None
    """PV NumFramesFlush: frames after which images become visible."""
    num_capture: int | None = None
    """PV NumCapture; 0: without end."""
    record_bytes: int | None = None
    """Length of the record XMLFileName."""

    @property
    def frames_until_columns_show(self) -> int | None:
        """Frames that pass before a reader sees a position; None if not known."""
        if self.attribute_chunk is None:
            return None
        return self.attribute_chunk or self.num_capture or 16384
