"""The options that all commands share which make a standard file of recorded frames: one table, used by each of them.

An option that is not given is as the profile says; without a profile, as the default of the setting in
`settings.preprocessing` says.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.settings.option import ALSO_BELOW, option
from stream_service.settings.recorded_choices import Match
from stream_service.text.counted import agrees

if TYPE_CHECKING:
    from stream_service.core.pairing.readback import Entries
    from stream_service.run.recorded.ingest_settings import IngestSettings
    from stream_service.settings.preprocessing import Preprocessing
    from stream_service.settings.profile import Profile
    from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks

REFERENCE = "FILE[:DATASET]"
OF_ONE_NAME = (
    *("group_by", "same_position_m", "allow_spread", "grouping"),
    *("roi_center", "rotate", "flip", "sat", "sat_fraction", "bin"),
    *("flat_is", "bad_pixels", "gain", "negatives"),
)
"""Options that are called as the settings of the profile which they replace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionOptions:
    """The values of the shared options; each field is one option of the command line."""

    profile: str | None = option("Defaults of a beamline: hermes, xrnf, ... or a YAML file.", metavar="NAME|PATH")
    frames_per_pos: int | None = option(
        "Exposures at each scan position (1); with --group-by position the most there may be.", min=1
    )
    group_by: Literal["index", "position"] | None = option(
        "What tells which frames are a row: their number, or where the stage was (index)."
    )
    same_position_m: float | None = option(
        "With --group-by position: readbacks no further apart are one position (2e-8)."
    )
    allow_spread: bool | None = option(
        "Combine exposures of a row even if taken at different places (no).", "--allow-spread"
    )
    grouping: Literal["sum", "mean", "first", "best", "none"] | None = option(
        "How the exposures of a position become one row (sum)."
    )
    roi: str | None = option("Rows and columns kept, in raw axes (all).", metavar="NY,NX")
    roi_center: str | None = option("Centre of the ROI: pixels, or fractions such as 0.5,0.5.", metavar="CY,CX")
    rotate: int | None = option("Counter-clockwise, before the flip (0).", metavar="0|90|180|270")
    flip: Literal["none", "h", "v", "hv"] | None = option("h: left-right, v: up-down (none).")
    sat: float | None = option("Raw value from which a pixel is saturated, and goes into the mask.")
    sat_fraction: float | None = option("Only mask pixels saturated in more than this fraction of the frames (0).")
    dark: str | None = option(
        "Dark: .npy, .npz, or FILE.h5:/dataset; else as recorded, else the profile's.", metavar=REFERENCE
    )
    flat: str | None = option("Flat, likewise.", metavar=REFERENCE)
    flat_is: Literal["auto", "raw", "normalised"] | None = option(
        "raw: as measured; normalised: mean 1, without a dark (recognised)."
    )
    mask: str | None = option("Mask, likewise; 0 = good.", metavar=REFERENCE)
    gaps: str | None = option(
        "Value of pixels that never measure: gaps, dead pixels (auto).", metavar="auto|none|VALUE"
    )
    bin: int | None = option("Raw pixels per stored pixel on each axis (1).", min=1)
    bad_pixels: Literal["keep", "interpolate"] | None = option("Values of bad pixels (keep).")
    gain: float | None = option("ADU per photon; divides (1).")
    negatives: Literal["clip", "keep"] | None = option("Values below 0 after the dark (clip).")
    energy_eV: float | None = option("Photon energy, instead of the recorded one.", "--energy-eV")
    det_dist_m: float | None = option("Sample to detector, likewise.")
    pixel_m: float | None = option("Pitch of the detector's pixels, likewise.")
    exposure_s: float | None = option("Exposure time of a frame, likewise.")
    readbacks: Path | None = option(
        "Positions recorded separately: the file of a live run, or a log (CSV) with unique_id, frame_index or "
        "timestamp_ns.",
        metavar="FILE",
    )
    arrays: Path | None = option(
        "HDF5 with arrays that hardware captured (PandA): an entry for each frame, in the datasets that --profile "
        "names (how: index).",
        metavar="FILE",
    )
    column: list[str] | None = option(
        "Column of --readbacks (CSV) that holds it: posx=MOTOR:X.RBV.", metavar="QUANTITY=NAME"
    )
    unit: list[str] | None = option("Unit of it in --readbacks: posx=um.", metavar="QUANTITY=UNIT")
    stage_map: str | None = option(
        "From positions of the stage to those of the beam on the sample; -1,0,0,-1: the stage moves the sample (the "
        "profile's).",
        metavar="XX,XY,YX,YY",
    )
    readbacks_offset_s: float | None = option(
        "Added to the time stamps of --readbacks, where its clock is known to be another one."
    )
    readbacks_on_change: bool | None = option(
        "The log by time has an entry whenever an axis moved: between entries it stood still (no).",
        "--readbacks-on-change",
    )
    match: Match | None = option(
        "How rows of --readbacks (or of a hand-made sidecar) find frames, where that cannot be proved (auto). order: "
        "the n-th row, or the n-th entry of a log by time, is that of the n-th frame."
    )
    row_offset: int | None = option("frame_index (unique_id) of a row minus that of its frame: 1 if rows count from 1.")
    reject_json: Path | None = option("ptypy_indices.json: rows not to be used (keep = 0).", metavar="FILE")
    scan_id: str | None = option("Name of the scan; else as recorded, else that of the input.", metavar="NAME")
    also_below: list[Path] | None = option(ALSO_BELOW, metavar="FOLDER")
    first_id: int | None = option("uniqueId of the scan's first frame, if the recording begins later.", min=0)

    @property
    def also(self) -> AlsoBelow:
        """Folders that links in files may lead to, beside their own."""
        return AlsoBelow(tuple(self.also_below or ()))

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that the options name, all of which are read."""
        from stream_service.settings.beamlines import find_profile
        from stream_service.sources.tables.references import reference_path

        named = [self.readbacks, self.arrays, self.reject_json, find_profile(self.profile) if self.profile else None]
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
            references={
                kind: found.image
                for kind, found in read_references(locations, self.also, meanwhile=_load_the_run).items()
            },
            facts=Facts(*(math.nan if number is None else number for number in numbers)),
            profile=profile,
            given=given,
            readbacks=self._load_readbacks(match),
            arrays=self._load_arrays(profile),
            match=match,
            row_offset=self.row_offset,
            stage_map=parse_stage_map(self.stage_map) if self.stage_map else None,
            rejected=load_rejected(self.reject_json) if self.reject_json else frozenset(),
            scan_id=_scan_id(self.scan_id),
            first_unique_id=self.first_id,
        )

    def _load_arrays(self, profile: Profile | None) -> tuple[Entries, ...]:
        from stream_service.sources.tables.captured_arrays import read_arrays

        if self.arrays is None:
            return ()
        channels = profile.channels if profile else {}
        names = [name for name, channel in channels.items() if channel.dataset]
        if profile is None or not names:
            raise ConfigError("--arrays needs a --profile that says 'how: index' and 'dataset' of x or y")
        return read_arrays(self.arrays, profile.datasets_of(names), self.also)

    def _load_readbacks(self, match: Match) -> RecordedReadbacks | None:
        from stream_service.sources.tables.entries_of_frames import entries_as_rows
        from stream_service.sources.tables.recorded_readbacks import load_readbacks

        if self.readbacks is not None:
            loaded = load_readbacks(
                self.readbacks,
                self.readbacks_offset_s,
                match,
                self.also,
                on_change=bool(self.readbacks_on_change),
                columns=pairs_of(self.column, "--column"),
                units=pairs_of(self.unit, "--unit"),
            )
            return entries_as_rows(loaded) if match is Match.ORDER and loaded.histories else loaded
        about_readbacks = {
            "--readbacks-offset-s": self.readbacks_offset_s is not None,
            "--readbacks-on-change": self.readbacks_on_change,
            "--column": self.column,
            "--unit": self.unit,
        }
        if given := [option for option, is_given in about_readbacks.items() if is_given]:
            raise ConfigError(f"{' and '.join(given)} {agrees(len(given), 'is')} about --readbacks: give that, too")
        return None

    def preprocessing(self, defaults: Preprocessing | None) -> Preprocessing:
        """The given settings over those of the profile; raises `ConfigError` naming what cannot be."""
        from pydantic import ValidationError

        from stream_service.settings.preprocessing import Preprocessing
        from stream_service.text.validation_messages import explain

        given = {name: getattr(self, name) for name in OF_ONE_NAME}
        given["frames_per_position"] = self.frames_per_pos
        given["roi"] = _two_numbers(self.roi, "--roi") if self.roi else None
        given["gaps"] = _marker(self.gaps) if self.gaps else None
        base = defaults.model_dump() if defaults else {}
        if self.sat_fraction is not None and self.sat is None and base.get("sat") is None:
            raise ConfigError("--sat-fraction is about what saturates: give the level by --sat, too")
        try:
            return Preprocessing(**base | {name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise ConfigError(f"these options cannot be:\n{explain(error, Preprocessing)}") from error


def _load_the_run() -> None:
    """Import what works on frames, numba foremost, which takes as long as the references do."""
    import stream_service.run.recorded.ingest  # noqa: F401


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
