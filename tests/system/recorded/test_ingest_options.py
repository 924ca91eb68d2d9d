"""Every combination of the offline options gives the definition's numbers, and the ROI centre at n // 2.

In memory, from the options as an operator gives them to the rows as the file would get them: every combination but that
with each saturation (with --long, with each of them). Through the command line, from file to file: every pair of values
of any two options (with --long, also every ROI in every orientation).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.partition import ByIndex
from stream_service.core.row import RowBlock
from stream_service.core.stage_map import StageMap
from stream_service.errors import ConfigError
from stream_service.kernels import Corrections, Grouping, reference
from stream_service.run.corrections import corrections_from
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.pipeline import RowPipeline
from stream_service.run.settings import build_reducer
from stream_service.settings.preprocessing import Preprocessing

N_FRAMES, FRAMES_PER_POSITION = 6, 3
PIXEL_M = 75e-6


@dataclass(frozen=True)
class Region:
    """Raw frames, what is kept of them, and the raw pixel that the operator calls the centre."""

    name: str
    raw_shape: tuple[int, int]
    roi: tuple[int, int] | None
    roi_center: str | None
    center: tuple[int, int]
    """Where a bright pixel is put in all frames; without an ROI it may be anywhere."""

    def __str__(self) -> str:
        return self.name


REGIONS = (
    Region("all of an even frame", (18, 24), None, None, (4, 15)),
    Region("all of an odd frame", (15, 21), None, None, (3, 12)),
    Region("middle of the sensor", (21, 30), (12, 6), None, (10, 15)),
    Region("even around a pixel", (18, 24), (6, 12), "7,13", (7, 13)),
    Region("odd around a pixel", (21, 30), (9, 15), "8,17", (8, 17)),
    Region("even around a fraction", (18, 24), (12, 6), "0.5,0.5", (9, 12)),
    Region("odd and even around a fraction", (21, 30), (9, 18), "0.42,0.56", (8, 16)),
)
SATURATIONS: tuple[tuple[float | None, float], ...] = ((None, 0.0), (50.0, 0.0), (50.0, 0.4))
"""Level, and the fraction of the frames above which a pixel goes into the mask."""


@dataclass(frozen=True)
class Options:
    """One combination."""

    region: Region
    grouping: str
    rotate: int
    flip: str
    bin: int
    saturation: tuple[float | None, float]

    @property
    def divides(self) -> bool:
        """True if the bin fits into what is kept."""
        return not any(n % self.bin for n in self.region.roi or self.region.raw_shape)

    @property
    def frames_per_row(self) -> int:
        return 1 if self.grouping == "none" else FRAMES_PER_POSITION

    @property
    def words(self) -> list[str]:
        """As on the command line; what is left out there is the default."""
        level, fraction = self.saturation
        words = ["--frames-per-pos", str(FRAMES_PER_POSITION), "--grouping", self.grouping]
        words += ["--rotate", str(self.rotate), "--flip", self.flip, "--bin", str(self.bin)]
        words += ["--sat", f"{level:g}", "--sat-fraction", f"{fraction:g}"] if level is not None else []
        words += ["--roi", "{},{}".format(*self.region.roi)] if self.region.roi else []
        return words + (["--roi-center", self.region.roi_center] if self.region.roi_center else [])

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(
            frames_per_position=FRAMES_PER_POSITION,
            grouping=self.grouping,
            roi=self.region.roi,
            roi_center=self.region.roi_center,
            rotate=self.rotate,
            flip=self.flip,
            bin=self.bin,
            sat=self.saturation[0],
            sat_fraction=self.saturation[1],
        )

    @property
    def peak(self) -> tuple[int, int]:
        """Place of the bright pixel. An ROI has its centre at n // 2; without one the frame is only rotated."""
        if self.region.roi is not None:
            ny, nx = (n // self.bin for n in self.region.roi)
            return (nx // 2, ny // 2) if self.rotate in (90, 270) else (ny // 2, nx // 2)
        image = np.zeros(self.region.raw_shape)
        image[self.region.center] = 1
        image = np.rot90(image, self.rotate // 90)
        image = image[:: -1 if "v" in self.flip else 1, :: -1 if "h" in self.flip else 1]
        row, column = np.unravel_index(image.argmax(), image.shape)
        return int(row) // self.bin, int(column) // self.bin


GROUPINGS = tuple(grouping.value for grouping in Grouping)
ROTATIONS, FLIPS = (0, 90, 180, 270), ("none", "h", "v", "hv")
ORIENTATIONS = tuple(itertools.product(ROTATIONS, FLIPS))
BINS = (1, 2, 3)


def pairs_of(options: Options) -> set[frozenset[tuple[str, object]]]:
    """The values of every two options; an ROI stands for its centre and frames, too."""
    values = [(one.name, getattr(options, one.name)) for one in fields(options)]
    return set(map(frozenset, itertools.combinations(values, 2)))


def oriented_regions() -> Iterator[Options]:
    """Every ROI in every orientation; bin, grouping and saturation go round."""
    for n, (region, (rotate, flip)) in enumerate(itertools.product(REGIONS, ORIENTATIONS)):
        every = (Options(region, GROUPINGS[n % 5], rotate, flip, bin, SATURATIONS[n // 2 % 3]) for bin in BINS)
        fitting = [options for options in every if options.divides]
        yield fitting[(n // len(ORIENTATIONS) + n) % len(fitting)]


def in_pairs(every: Iterable[Options]) -> list[Options]:
    """As few of them as hold every pair of values."""
    chosen: list[Options] = []
    held: set[frozenset[tuple[str, object]]] = set()
    for one in every:
        if pairs_of(one) - held:
            chosen.append(one)
            held |= pairs_of(one)
    return chosen


ORIENTED_REGIONS = list(oriented_regions())
IN_PAIRS = in_pairs(ORIENTED_REGIONS)


@dataclass(frozen=True)
class Recorded:
    """Frames that the detector sent, and its references."""

    frames: np.ndarray
    """(N, y, x) counts around 30, some above the saturation level, and 1000 at the centre of the region."""
    positions_m: np.ndarray
    references: dict[str, np.ndarray]


def record(region: Region) -> Recorded:
    rng = np.random.default_rng(REGIONS.index(region))
    shape = region.raw_shape
    brightness = np.array([25, 30, 28, 27, 26, 31])[:, None, None]
    frames = np.minimum(rng.poisson(brightness, (N_FRAMES, *shape)) + 25 * (rng.random((N_FRAMES, *shape)) < 0.05), 80)
    frames[(slice(None), *region.center)] = 1000
    mask = (rng.random(shape) < 0.1).astype(np.uint8)
    mask[region.center] = 0
    references = {"dark": rng.uniform(0, 5, shape), "flat": rng.uniform(90, 110, shape), "mask": mask}
    return Recorded(frames.astype(np.uint16), rng.normal(0, 1e-6, (N_FRAMES, 2)), references)


@dataclass
class Stored:
    """Content of a standard file; in memory it stands for the file."""

    name = "in memory"

    data: list[np.ndarray] = field(default_factory=list)
    unique_ids: list[np.ndarray] = field(default_factory=list)
    pos_m: list[tuple[float, float]] = field(default_factory=list)
    n_saturated: list[int] = field(default_factory=list)
    mask: np.ndarray | None = None

    def append(self, block: RowBlock) -> None:
        self.data += list(block.pixels.copy())
        self.unique_ids += list(block.rows["unique_id"].copy())
        self.pos_m += [(row["x_m"], row["y_m"]) for row in block.rows.copy()]
        self.n_saturated += block.rows["features"]["n_saturated"].tolist()

    def write_mask(self, mask: np.ndarray, _flags: np.ndarray) -> None:
        self.mask = mask

    def flush(self) -> None: ...


def in_memory(recorded: Recorded, options: Options) -> Stored:
    """The rows of a recording as the pipeline hands them to a file."""
    settings = options.preprocessing
    corrections = corrections_from(settings, recorded.references)
    shape, dtype = options.region.raw_shape, recorded.frames.dtype
    reducer = build_reducer(settings, corrections, shape, options.frames_per_row, dtype)
    stored = Stored(mask=reducer.mask)
    ledger = Ledger(0, N_FRAMES)
    unturned = StageMap(1.0, 0.0, 0.0, 1.0)
    thread = FileThread(stored)
    pipeline = RowPipeline(thread, reducer, ledger, unturned, ByIndex(options.frames_per_row), settings.sat_fraction)
    exposures = []
    for unique_id, (pixels, (x, y)) in enumerate(zip(recorded.frames, recorded.positions_m, strict=True)):
        receipt = ledger.receive(unique_id, unique_id)
        frame = Frame(unique_id, unique_id, pixels, {})
        exposures.append(Exposure(frame, receipt.id, receipt.ordinal, 0.1, {"x": x, "y": y, "energy": 700.0}))
    pipeline.add(exposures)
    pipeline.finish()
    thread.end()
    return stored


def write_raw(path: Path, recorded: Recorded) -> Path:
    """A recording as a file of the `/entry` schema."""
    facts = {"energy_eV": 700.0, "det_dist_m": 0.1, "pixel_m": PIXEL_M, "exposure_s": 0.1}
    values = {"data": recorded.frames, "pos": recorded.positions_m, **facts, **recorded.references}
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[f"entry/{name}"] = value
    return path


def ingest(source: Path, output: Path, words: list[str]) -> Stored:
    """The rows of a recording by the command line, from file to file."""
    result = CliRunner().invoke(cli.app, ["ingest", "hdf5", "--input", str(source), "--output", str(output), *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    with h5py.File(output) as file:
        entry = file["entry"]
        return Stored(
            data=list(entry["data"][()]),
            unique_ids=list(entry["frames/unique_id"][()] - entry["frames/unique_id"][0, 0]),
            pos_m=list(entry["pos"][()]),
            n_saturated=list(entry["qc/features/n_saturated"][()]),
            mask=entry["mask"][()],
        )


def assert_is_definition(stored: Stored, recorded: Recorded, options: Options) -> None:
    """Rows, identities, positions and mask are those of the plain-numpy reference, bit for bit."""
    settings, said = options.preprocessing, " ".join(options.words)
    corrections = corrections_from(settings, recorded.references)
    geometry = build_reducer(settings, Corrections(), options.region.raw_shape, 1, recorded.frames.dtype).geometry
    k = options.frames_per_row
    rows = [
        reference.reduce_frames(
            recorded.frames[i : i + k], [0.1] * k, geometry, corrections, Grouping(options.grouping)
        )
        for i in range(0, N_FRAMES, k)
    ]
    np.testing.assert_array_equal(
        np.stack(stored.data).view("u4"), np.stack([row.out for row in rows]).view("u4"), said
    )
    assert np.array_equal(np.stack(stored.unique_ids), np.arange(N_FRAMES).reshape(-1, k)), said
    groups_m = recorded.positions_m.reshape(-1, k, 2)
    kept = [row.summary.best_index for row in rows]
    positions_m = [group.mean(axis=0) if one < 0 else group[one] for group, one in zip(groups_m, kept, strict=True)]
    np.testing.assert_allclose(np.array(stored.pos_m), positions_m, rtol=1e-12, err_msg=said)
    assert stored.n_saturated == [row.summary.features["n_saturated"] for row in rows], said
    n_seen = len(rows) if options.grouping in ("first", "best", "none") else N_FRAMES
    n_saturated = np.sum([row.saturated for row in rows], axis=0)
    is_saturated = n_saturated > settings.sat_fraction * n_seen
    calibration = corrections.calibrate(options.region.raw_shape)
    assert stored.mask is not None
    mask = reference.stored_mask(geometry, calibration)
    leaves_some = not (mask | is_saturated).all()  # else saturation is told and left out of the mask
    assert np.array_equal(stored.mask, mask | (is_saturated & leaves_some)), said


def assert_peak_is_there(stored: Stored, options: Options) -> None:
    for row in stored.data:
        peak = np.unravel_index(np.argmax(row), row.shape)
        assert (int(peak[0]), int(peak[1])) == options.peak, options


@pytest.fixture(scope="module")
def recordings() -> dict[Region, Recorded]:
    return {region: record(region) for region in REGIONS}


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.long) for turn in (1, 2))])
@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS, ids=lambda value: str(value))
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_every_combination_is_the_definition_and_centred(
    recordings: dict[Region, Recorded], grouping: str, rotate: int, flip: str, turn: int
) -> None:
    """In each of three turns with another saturation."""
    orientation = ORIENTATIONS.index((rotate, flip))
    for n, (region, bin) in enumerate(itertools.product(REGIONS, BINS)):
        saturation = SATURATIONS[(n // len(BINS) + n + orientation + turn) % len(SATURATIONS)]
        options = Options(region, grouping, rotate, flip, bin, saturation)
        if not options.divides:
            with pytest.raises(ConfigError, match=f"do not divide by bin {bin}"):
                in_memory(recordings[region], options)
            continue
        stored = in_memory(recordings[region], options)
        assert_is_definition(stored, recordings[region], options)
        assert_peak_is_there(stored, options)


def test_files_hold_every_pair_of_options() -> None:
    every = itertools.starmap(Options, itertools.product(REGIONS, GROUPINGS, ROTATIONS, FLIPS, BINS, SATURATIONS))
    wanted = set().union(*(pairs_of(options) for options in every if options.divides))
    assert wanted - set().union(*(pairs_of(options) for options in IN_PAIRS)) == set()


@pytest.mark.further(but=3)
@pytest.mark.parametrize(
    "chosen", [IN_PAIRS, pytest.param(ORIENTED_REGIONS, marks=pytest.mark.long)], ids=["pairs", "all"]
)
@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_from_file_to_file_is_the_definition_and_centred(
    recordings: dict[Region, Recorded], tmp_path: Path, region: Region, chosen: list[Options]
) -> None:
    recorded = recordings[region]
    source = write_raw(tmp_path / "raw.h5", recorded)
    for number, options in enumerate(options for options in chosen if options.region is region):
        output = tmp_path / f"{number}_std.h5"
        stored = ingest(source, output, options.words)
        assert_is_definition(stored, recorded, options)
        assert_peak_is_there(stored, options)
        with h5py.File(output) as file:
            assert file["entry/pixel_m"][()] == PIXEL_M * options.bin


@pytest.mark.parametrize(
    ("beamline", "wrapper"),
    [
        ("hermes", "--roi 1024,1024 --roi-center 0.5,0.5 --grouping sum --frames-per-pos 3"),
        ("xrnf", "--rotate 180 --flip none --roi 1024,1024 --grouping mean"),
    ],
)
def test_profile_does_what_the_wrapper_script_of_its_beamline_did(tmp_path: Path, beamline: str, wrapper: str) -> None:
    frames = np.random.default_rng(1).integers(0, 100, (3, 1030, 1041), np.uint16)
    positions_m = np.random.default_rng(2).normal(0, 1e-6, (3, 2))
    source = write_raw(tmp_path / "raw.h5", Recorded(frames, positions_m, {}))
    by_flags = ingest(source, tmp_path / "flags.h5", wrapper.split())
    by_profile = ingest(source, tmp_path / "profile.h5", ["--profile", beamline])
    assert np.array_equal(by_profile.data, by_flags.data)
    assert np.array_equal(by_profile.pos_m, by_flags.pos_m)
    assert np.array_equal(by_profile.unique_ids, by_flags.unique_ids)
    flipped = ingest(source, tmp_path / "over.h5", ["--profile", beamline, "--roi", "8,12", "--flip", "h"])
    expected = ingest(source, tmp_path / "over_flags.h5", [*wrapper.split(), "--roi", "8,12", "--flip", "h"])
    assert flipped.data[0].shape == (8, 12)
    assert np.array_equal(flipped.data, expected.data), "what is given on the command line wins over the profile"
