"""Choices of the user before a scan is reconstructed: other optics than the file's, and the first probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError, SourceError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.ptycho.frame_remarks import frame_remarks
from stream_service.ptycho.optics.illumination import (
    Illumination,
    array_illumination,
    near_field_illumination,
    optics_illumination,
)
from stream_service.ptycho.optics.probe import optics_probe
from stream_service.ptycho.optics.probe_estimate import Defocus, estimate_defocus, estimate_probe
from stream_service.ptycho.optics.probe_file import read_probe
from stream_service.ptycho.optics.scan_holograms import read_holograms
from stream_service.ptycho.scan_file import ScanFile

PARALLEL = 0.02
"""An in-line hologram that is enlarged by less than this share is one in a parallel beam."""

ROWS_FOR_ESTIMATE = 60
"""With fewer the holograms of neighbours may not overlap enough."""


@dataclass(frozen=True, slots=True)
class ScanChoices:
    """Choices that are None (or False) leave it to the file."""

    probe: Path | None = None
    """A file with a probe: that of `ptychostream probe`, or an earlier reconstruction."""
    estimate_probe: bool = False
    """From the frames, whatever the file says of its optics."""
    near_field: bool | None = None
    defocus_m: float | None = None
    also: AlsoBelow = NOWHERE_ELSE
    """Folders to which the files may lead beside their own."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that are read beside the scan."""
        return () if self.probe is None else (self.probe,)

    def check_files(self) -> None:
        """Raise `SourceError` for one that is not there."""
        for path in self.files:
            if not path.is_file():
                raise SourceError(f"{path}: there is no such file")

    def read_scan(self, path: Path) -> ScanFile:
        """The scan with these choices made. Raises `SourceError`."""
        scan = ScanFile.read(path, self.also)
        chosen: dict[str, object] = {}
        if self.near_field is not None:
            chosen["propagation"] = "near_field" if self.near_field else "far_field"
        if self.defocus_m is not None:
            chosen["defocus_m"] = self.defocus_m
        scan = replace(scan, optics=scan.optics.model_copy(update=chosen)) if chosen else scan
        scan.check_plausible()
        return scan

    def rows_for_probe(self, scan: ScanFile) -> int:
        """Rows of a growing scan that the first probe needs: none if the optics tell it."""
        is_near = scan.optics.propagation == "near_field"
        if scan.optics.defocus_m is not None and (is_near or scan.optics.kind != "unknown") and not self.estimate_probe:
            return 0
        is_given = self.probe is not None and not is_near
        half = (scan.n_rows_expected or 2 * ROWS_FOR_ESTIMATE) // 2
        return 0 if is_given else min(ROWS_FOR_ESTIMATE, half)

    def illumination(self, scan: ScanFile, folder: Path, name: str) -> Illumination:
        """The first probe of a recipe; an array goes into `<name>_probe.npy` in `folder`.

        Raises `ConfigError`, `SourceError`.
        """
        found = self._illumination(scan, folder, name)
        return replace(found, remarks=(*frame_remarks(scan), *found.remarks))

    def _illumination(self, scan: ScanFile, folder: Path, name: str) -> Illumination:
        if scan.optics.propagation == "near_field":
            return self._near_field(scan)
        if scan.optics.kind != "unknown" and self.probe is None and not self.estimate_probe:
            return optics_illumination(*_with_known_defocus(scan))
        wave, about = self.first_probe(scan)
        return array_illumination(wave, folder / f"{name}_probe.npy", about)

    def first_probe(self, scan: ScanFile) -> tuple[npt.NDArray[np.complex64], str]:
        """The wave on the sample for the square that PtyPy takes of a frame, and what it was made of.

        (n, n), or (modes, n, n) where it comes from a file with modes. Raises `ConfigError`, `SourceError`.
        """
        if scan.optics.propagation == "near_field":
            raise ConfigError("in the near field the first probe is the mean frame: there is none to compute")
        if self.probe is not None:
            return read_probe(self.probe, scan), f"first probe: that in {self.probe}"
        if self.estimate_probe or scan.optics.kind == "unknown":
            estimate = estimate_probe(scan, read_holograms(scan))
            return estimate.probe, estimate.sentence
        scan, remarks = _with_known_defocus(scan)
        side = (scan.square_px, scan.square_px)
        pixel_yx_m = scan.sample_pixel_yx_m(side)
        wave = optics_probe(scan.optics, shape=side, pixel_yx_m=pixel_yx_m, wavelength_m=scan.wavelength_m)
        made_of = f"first probe: the wave that the optics make ({scan.optics.kind}"
        made_of += f", defocus {scan.optics.defocus_m * 1e6:.3g} um)" if scan.optics.defocus_m else ", in focus)"
        return wave, "; ".join([made_of, *remarks])

    def _near_field(self, scan: ScanFile) -> Illumination:
        if self.probe is not None or self.estimate_probe:
            raise ConfigError(
                "in the near field the first probe is the mean frame: --probe and --estimate-probe are not"
            )
        if scan.optics.defocus_m is not None:
            return near_field_illumination(scan)
        seen = estimate_defocus(scan, read_holograms(scan))
        if not seen.is_seen:
            raise ConfigError(
                f"{scan.path}: the magnification is not known, and the frames do not follow the positions: give the "
                "distance from focus to sample, --defocus"
            )
        magnification = 1 + scan.det_dist_m / seen.defocus_m
        if magnification < 1 + PARALLEL:
            return near_field_illumination(scan)
        focused = replace(scan, optics=scan.optics.model_copy(update={"defocus_m": seen.defocus_m}))
        found = f"by the motion of its in-line hologram the sample is {seen.defocus_m * 1e3:.4g} mm behind the focus"
        illumination = near_field_illumination(focused)
        return replace(illumination, remarks=(*illumination.remarks, found))


def _with_known_defocus(scan: ScanFile) -> tuple[ScanFile, tuple[str, ...]]:
    """The scan with the defocus by its in-line hologram, where the optics do not tell it, and the remarks on it."""
    if scan.optics.defocus_m is not None:
        return scan, ()
    found: Defocus = estimate_defocus(scan, read_holograms(scan))
    if not found.is_seen:
        return scan, ("the defocus is not known and no in-line hologram of the sample is seen: taken to be in focus",)
    optics = scan.optics.model_copy(update={"defocus_m": found.defocus_m})
    return replace(scan, optics=optics), (
        f"defocus {found.defocus_m * 1e6:.3g} um, by the motion of the in-line hologram",
    )
