"""First probe of a reconstruction, as the lines of a recipe that make it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.output_file import whole_file
from stream_service.ptycho.optics.near_field import NearField
from stream_service.ptycho.optics.probe import Cone
from stream_service.ptycho.scan_file import ScanFile
from stream_service.settings.optics import Optics
from stream_service.text.printable import printable

Complex = npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Illumination:
    """`scan.illumination` of a recipe."""

    code: str
    """Lines of the script."""
    remarks: tuple[str, ...] = ()
    """What the user should know of it, in sentences."""
    near_field: NearField | None = None


def optics_illumination(scan: ScanFile, remarks: tuple[str, ...] = ()) -> Illumination:
    """The optics as lines that compute their wave: `probe.optics_probe`, for a reader of the script.

    Raises `ConfigError` naming the number that is missing, or that cannot be.
    """
    cone = Cone.of(scan.optics, scan.wavelength_m)
    side = scan.square_px
    cone.check_fit((side, side), scan.sample_pixel_yx_m((side, side)), scan.wavelength_m)
    if cone.is_round:
        about, pupil = _round_pupil(scan.optics, cone)
    else:
        about, pupil = _square_pupil(cone)
    return Illumination(
        f"""
# {about}.
# Its pupil as the detector sees it, curved by the defocus and transformed to the sample. The sign of the defocus
# (+ = sample downstream of the focus) tells which of two twins is reconstructed.
wavelength = {scan.wavelength_m!r}  # metres
defocus = {scan.optics.defocus_m or 0.0!r}  # metres
step = {scan.pixel_m!r} / {scan.det_dist_m!r}  # angle of a detector pixel
angle_x, angle_y = np.meshgrid(*2 * [(np.arange({side}) - {side // 2}) * step])
angle = np.hypot(angle_x, angle_y)
{pupil}
curved = pupil * np.exp(2j * np.pi / wavelength * defocus * (np.sqrt(1 - np.minimum(angle, 1) ** 2) - 1))
probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(curved)))
scan.illumination = u.Param(model=probe, aperture=None, propagation=None)  # PtyPy scales it to the counts
""",
        remarks,
    )


def _round_pupil(optics: Optics, cone: Cone) -> tuple[str, str]:
    lines = [f"pupil = np.clip(0.5 + ({cone.outer_y!r} - angle) / step, 0, 1)  # half the opening angle"]
    if cone.inner:
        lines.append(f"pupil -= np.clip(0.5 + ({cone.inner!r} - angle) / step, 0, 1)  # shadow of the central stop")
    diameter_um = (optics.zone_plate_diameter_m or 0.0) * 1e6
    return f"Zone plate of {diameter_um:g} um, focal length {cone.focal_length_m * 1e3:.4g} mm", "\n".join(lines)


def _square_pupil(cone: Cone) -> tuple[str, str]:
    along_x = f"np.clip(0.5 + ({cone.outer_x!r} - abs(angle_x)) / step, 0, 1)"
    along_y = f"np.clip(0.5 + ({cone.outer_y!r} - abs(angle_y)) / step, 0, 1)"
    return "KB pair", f"pupil = {along_x}\npupil = pupil * {along_y}  # half the opening angles"


def near_field_illumination(scan: ScanFile) -> Illumination:
    """The mean of the frames, without the sample, propagated back to it."""
    near = NearField.of(scan.optics, scan.det_dist_m, scan.pixel_m)
    return Illumination(
        """
# near field: the mean frame, propagated back to the sample
scan.illumination = u.Param(model="stxm", aperture=None, propagation=None)
""",
        (
            f"cone beam: magnification {near.magnification:.5g}, so {near.pixel_m * 1e9:.4g} nm per pixel and an "
            f"effective distance of {near.distance_m * 1e3:.5g} mm"
            if near.magnification != 1
            else "near field with a parallel beam",
        ),
        near,
    )


def array_illumination(probe: Complex, beside: Path, made_of: str) -> Illumination:
    """A probe (y, x) or (modes, y, x) as an array, saved at `beside` (`.npy`), which the script reads."""
    with whole_file(beside) as unfinished, unfinished.open("xb") as file:
        np.save(file, probe)
    return Illumination(
        f"""
# {printable(made_of)}
scan.illumination = u.Param(model=np.load({str(beside.resolve())!r}), aperture=None, propagation=None)
""",
        (made_of,),
    )
