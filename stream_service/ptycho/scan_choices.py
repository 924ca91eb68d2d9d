"""What a user chooses of a scan before it is reconstructed: other optics than the file's, and the first probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from stream_service.ptycho.illumination import (
    Illumination,
    near_field_illumination,
    zone_plate_illumination,
)
from stream_service.ptycho.scan_file import ScanFile


@dataclass(frozen=True, slots=True)
class ScanChoices:
    """Choices that are None (or False) leave it to the file."""

    probe: Path | None = None
    """A file with a probe: that of `ptychostream probe`, or an earlier reconstruction."""
    estimate_probe: bool = False
    """From the frames, whatever the file says of its optics."""
    near_field: bool | None = None
    defocus_m: float | None = None

    def read_scan(self, path: Path) -> ScanFile:
        """The scan with these choices made. Raises `SourceError`."""
        scan = ScanFile.read(path)
        chosen: dict[str, object] = {}
        if self.near_field is not None:
            chosen["propagation"] = "near_field" if self.near_field else "far_field"
        if self.defocus_m is not None:
            chosen["defocus_m"] = self.defocus_m
        return replace(scan, optics=scan.optics.model_copy(update=chosen)) if chosen else scan

    def illumination(self, scan: ScanFile, folder: Path, name: str) -> Illumination:
        """The first probe of a recipe; an array goes into a file in `folder`. Raises `ConfigError`, `SourceError`."""
        if scan.optics.propagation == "near_field":
            return near_field_illumination(scan)
        return zone_plate_illumination(scan)
