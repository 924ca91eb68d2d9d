"""The answer of the orientation wizard, in the order in which a reader needs it."""

from __future__ import annotations

from collections.abc import Iterator

from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.ptycho.orientation.orient import Verdict, profile_lines
from stream_service.ptycho.scan_file import ScanFile

ASK_FOR_THE_SIDE = (
    "only the side of the focus tells the image from its twin, and nothing says on which side the sample was: give the "
    "optics (optics.defocus_m of the profile), or --defocus M, + = sample downstream of the focus"
)


def answer(scan: ScanFile, verdict: Verdict) -> Iterator[str]:
    """Paragraphs; none where the frames do not tell."""
    if verdict.best is None:
        return
    orientation = verdict.best.orientation
    if verdict.sign_is_known:
        if verdict.fits_as_it_is(scan):
            yield f"{scan.path} is right as it stands: frames and positions fit, and the profile needs no change."
        else:
            yield f"{scan.path} is wrong as it stands: its frames do not fit its positions."
            yield _lines(scan, orientation, "The profile is to say")
        return
    side, other = ("downstream", "upstream") if verdict.defocus_m > 0 else ("upstream", "downstream")
    if verdict.fits_as_it_is(scan):
        yield (
            f"{scan.path} is right as it stands if the sample was {side} of the focus, by about "
            f"{abs(verdict.defocus_m) * 1e6:.3g} um; so `ptychostream reconstruct` takes it if no optics are known."
        )
    else:
        yield f"{scan.path} is wrong as it stands, on whichever side of the focus the sample was."
        yield _lines(scan, orientation, f"If the sample was {side} of the focus, the profile is to say")
    yield _lines(scan, orientation.upside_down, f"If the sample was {other} of the focus, the profile is to say")


def _lines(scan: ScanFile, orientation: Orientation, head: str) -> str:
    return (
        f"{head}, if its stage_map is right:\n{profile_lines(orientation, +1, scan)}\n"
        "or, if its rotate and flip were found by looking at the camera (the image is then upside down):\n"
        f"{profile_lines(orientation.upside_down, -1, scan)}"
    )
