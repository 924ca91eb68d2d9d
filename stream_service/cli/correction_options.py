"""The options that all commands share which make a standard file of recorded frames: one table, used by each of them.

An option that is not given is as the profile says; without a profile, as the default of the setting in
`config.Preprocessing` says.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_service.cli.options import AlsoBelowOption
from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.sources.tables.sidecar_matching import Match

if TYPE_CHECKING:
    from stream_service.run.recorded.ingest_settings import IngestSettings
    from stream_service.settings.profile import Preprocessing
    from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks

REFERENCE_HELP = ".npy, .npz, or FILE.h5:/dataset; else as recorded, else the profile's."


class Grouping(StrEnum):
    """Reduction of the exposures of a position to one row."""

    SUM = "sum"
    MEAN = "mean"
    FIRST = "first"
    BEST = "best"
    NONE = "none"


class Flip(StrEnum):
    """Mirroring after the rotation."""

    NONE = "none"
    H = "h"
    V = "v"
    HV = "hv"


class BadPixels(StrEnum):
    """Treatment of bad pixels."""

    KEEP = "keep"
    INTERPOLATE = "interpolate"


class FlatIs(StrEnum):
    """Kind of a flat."""

    AUTO = "auto"
    RAW = "raw"
    NORMALISED = "normalised"


class Negatives(StrEnum):
    """Treatment of values below zero."""

    CLIP = "clip"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionOptions:
    """The values of the shared options; each field is one option of the command line."""

    profile: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="Defaults of a beamline: hermes, xrnf, ... or a YAML file.")
    ] = None
    frames_per_pos: Annotated[int | None, typer.Option(min=1, help="Exposures at each scan position (1).")] = None
    allow_spread: Annotated[
        bool | None,
        typer.Option("--allow-spread", help="Combine exposures of a row even if taken at different places (no)."),
    ] = None
    grouping: Annotated[Grouping | None, typer.Option(help="How the exposures of a position become one row (sum).")] = (
        None
    )
    roi: Annotated[str | None, typer.Option(metavar="NY,NX", help="Rows and columns kept, in raw axes (all).")] = None
    roi_center: Annotated[
        str | None, typer.Option(metavar="CY,CX", help="Centre of the ROI: pixels, or fractions such as 0.5,0.5.")
    ] = None
    rotate: Annotated[
        int | None, typer.Option(metavar="0|90|180|270", help="Counter-clockwise, before the flip (0).")
    ] = None
    flip: Annotated[Flip | None, typer.Option(help="h: left-right, v: up-down (none).")] = None
    sat: Annotated[
        float | None, typer.Option(help="Raw value from which a pixel is saturated, and goes into the mask.")
    ] = None
    sat_fraction: Annotated[
        float | None, typer.Option(help="Only mask pixels saturated in more than this fraction of the frames (0).")
    ] = None
    dark: Annotated[str | None, typer.Option(metavar="FILE[:DATASET]", help=f"Dark: {REFERENCE_HELP}")] = None
    flat: Annotated[str | None, typer.Option(metavar="FILE[:DATASET]", help="Flat, likewise.")] = None
    flat_is: Annotated[
        FlatIs | None, typer.Option(help="raw: as measured; normalised: mean 1, without a dark (recognised).")
    ] = None
    mask: Annotated[str | None, typer.Option(metavar="FILE[:DATASET]", help="Mask, likewise; 0 = good.")] = None
    gaps: Annotated[
        str | None,
        typer.Option(metavar="auto|none|VALUE", help="Value of pixels that never measure: gaps, dead pixels (auto)."),
    ] = None
    bin: Annotated[int | None, typer.Option(min=1, help="Raw pixels per stored pixel on each axis (1).")] = None
    bad_pixels: Annotated[BadPixels | None, typer.Option(help="Values of bad pixels (keep).")] = None
    gain: Annotated[float | None, typer.Option(help="ADU per photon; divides (1).")] = None
    negatives: Annotated[Negatives | None, typer.Option(help="Values below 0 after the dark (clip).")] = None
    energy_eV: Annotated[
        float | None, typer.Option("--energy-eV", help="Photon energy, instead of the recorded one.")
    ] = None
    det_dist_m: Annotated[float | None, typer.Option(help="Sample to detector, likewise.")] = None
    pixel_m: Annotated[float | None, typer.Option(help="Pitch of the detector's pixels, likewise.")] = None
    exposure_s: Annotated[float | None, typer.Option(help="Exposure time of a frame, likewise.")] = None
    readbacks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Positions recorded separately: the file of a live run, or a log (CSV) with unique_id, frame_index or "
            "timestamp_ns.",
        ),
    ] = None
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="QUANTITY=NAME", help="Column of --readbacks (CSV) that holds it: posx=MOTOR:X.RBV."),
    ] = None
    unit: Annotated[
        list[str] | None, typer.Option(metavar="QUANTITY=UNIT", help="Unit of it in --readbacks: posx=um.")
    ] = None
    stage_map: Annotated[
        str | None,
        typer.Option(
            metavar="XX,XY,YX,YY",
            help="From positions of the stage to those of the beam on the sample; -1,0,0,-1: the stage moves the "
            "sample (the profile's).",
        ),
    ] = None
    readbacks_offset_s: Annotated[
        float | None,
        typer.Option(help="Added to the time stamps of --readbacks, where its clock is known to be another one."),
    ] = None
    readbacks_on_change: Annotated[
        bool | None,
        typer.Option(
            "--readbacks-on-change",
            help="The log by time has an entry whenever an axis moved: between entries it stood still (no).",
        ),
    ] = None
    match: Annotated[
        Match | None,
        typer.Option(
            help="How rows of --readbacks (or of a hand-made sidecar) find frames, where that cannot be proved (auto)."
        ),
    ] = None
    row_offset: Annotated[
        int | None,
        typer.Option(help="frame_index (unique_id) of a row minus that of its frame: 1 if rows count from 1."),
    ] = None
    reject_json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ptypy_indices.json: rows not to be used (keep = 0).")
    ] = None
    scan_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the scan; else as recorded, else that of the input.")
    ] = None
    also_below: AlsoBelowOption = None
    first_id: Annotated[
        int | None, typer.Option(min=0, help="uniqueId of the scan's first frame, if the recording begins later.")
    ] = None

    @property
    def also(self) -> AlsoBelow:
        """Folders that links in files may lead to, beside their own."""
        return AlsoBelow(tuple(self.also_below or ()))

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that the options name, all of which are read."""
        from stream_service.settings.beamlines import find_profile
        from stream_service.sources.tables.references import reference_path

        named = [self.readbacks, self.reject_json, find_profile(self.profile) if self.profile else None]
        locations = (self.dark, self.flat, self.mask)
        return (*filter(None, named), *(reference_path(location) for location in locations if location))

    def settings(self, given: frozenset[str] = frozenset()) -> IngestSettings:
        """Load what the options name. `given` are channels whose paths the operator gave; raises `ConfigError`."""
        from stream_service.core.stage_map import parse_stage_map
        from stream_service.run.recorded.ingest_settings import IngestSettings, load_rejected
        from stream_service.settings.beamlines import load_named_profile
        from stream_service.sources.recording import Facts
        from stream_service.sources.tables.references import read_references

        match = self.match or Match.AUTO
        profile = load_named_profile(self.profile) if self.profile else None
        named = {"dark": self.dark, "flat": self.flat, "mask": self.mask}
        locations = {kind: location for kind, location in named.items() if location}
        numbers = (self.energy_eV, self.det_dist_m, self.pixel_m, self.exposure_s)
        return IngestSettings(
            preprocessing=self.preprocessing(profile.preprocessing if profile else None),
            references={kind: found.image for kind, found in read_references(locations, self.also).items()},
            facts=Facts(*(math.nan if number is None else number for number in numbers)),
            profile=profile,
            given=given,
            readbacks=self._load_readbacks(match),
            match=match,
            row_offset=self.row_offset,
            stage_map=parse_stage_map(self.stage_map) if self.stage_map else None,
            rejected=load_rejected(self.reject_json) if self.reject_json else frozenset(),
            scan_id=_scan_id(self.scan_id),
            first_unique_id=self.first_id,
        )

    def _load_readbacks(self, match: Match) -> RecordedReadbacks | None:
        from stream_service.sources.tables.recorded_readbacks import load_readbacks

        if self.readbacks is not None:
            on_change = bool(self.readbacks_on_change)
            return load_readbacks(
                self.readbacks,
                self.readbacks_offset_s,
                match,
                self.also,
                on_change=on_change,
                columns=pairs_of(self.column, "--column"),
                units=pairs_of(self.unit, "--unit"),
            )
        about_readbacks = {
            "--readbacks-offset-s": self.readbacks_offset_s is not None,
            "--readbacks-on-change": self.readbacks_on_change,
            "--column": self.column,
            "--unit": self.unit,
        }
        if given := [option for option, is_given in about_readbacks.items() if is_given]:
            raise ConfigError(
                f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} about --readbacks: give that, too"
            )
        return None

    def preprocessing(self, defaults: Preprocessing | None) -> Preprocessing:
        """The given settings over those of the profile; raises `ConfigError` naming what cannot be."""
        from pydantic import ValidationError

        from stream_service.settings.profile import Preprocessing
        from stream_service.text.validation_messages import explain

        given = {
            "frames_per_position": self.frames_per_pos,
            "allow_spread": self.allow_spread,
            "grouping": self.grouping and self.grouping.value,
            "roi": _two_numbers(self.roi, "--roi") if self.roi else None,
            "roi_center": self.roi_center,
            "rotate": self.rotate,
            "flip": self.flip and self.flip.value,
            "sat": self.sat,
            "sat_fraction": self.sat_fraction,
            "bin": self.bin,
            "gaps": _marker(self.gaps) if self.gaps else None,
            "flat_is": self.flat_is and self.flat_is.value,
            "bad_pixels": self.bad_pixels and self.bad_pixels.value,
            "gain": self.gain,
            "negatives": self.negatives and self.negatives.value,
        }
        base = defaults.model_dump() if defaults else {}
        if self.sat_fraction is not None and self.sat is None and base.get("sat") is None:
            raise ConfigError("--sat-fraction is about what saturates: give the level by --sat, too")
        try:
            return Preprocessing(**base | {name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise ConfigError(f"these options cannot be:\n{explain(error)}") from error


def _marker(text: str) -> float | str:
    """`auto`, `none` or a number."""
    if text in ("auto", "none"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"--gaps {text!r}: give auto, none, or the number that such pixels hold, such as 65535 or -1")
    return value


def pairs_of(options: list[str] | None, option: str) -> dict[str, str]:
    """From `quantity=value` texts. Raises `ConfigError`."""
    pairs: dict[str, str] = {}
    for text in options or []:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise ConfigError(
                f"{option} {text!r}: write QUANTITY=VALUE, such as posx={'um' if option == '--unit' else 'X'}"
            )
        if pairs.setdefault(name, value) != value:
            raise ConfigError(f"{option} gives {name} twice: {pairs[name]} and {value}")
    return pairs


def _scan_id(given: str | None) -> str:
    from stream_service.settings.request import SCAN_ID

    if given is not None and not SCAN_ID.fullmatch(given):
        raise ConfigError(f"--scan-id {given!r} cannot be a file name: use letters, digits, '_', '-', '.'")
    return given or ""


def _two_numbers(text: str, option: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if not found:
        raise ConfigError(f"{option} {text!r}: give two whole numbers, rows and columns, such as 512,512")
    return int(found[1]), int(found[2])
