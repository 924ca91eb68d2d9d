"""From TIFF frames and the log of their scan to a sidecar: each row of the log finds its frame, once and visibly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.core.stage_map import StageMap
from stream_service.errors import ConfigError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.output_file import check_is_no_input, check_output
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.epics_columns import FRAME_INDEX, TIMESTAMP, UNIQUE_ID
from stream_service.sources.tables.epics_csv import EpicsTable, read_epics_csv
from stream_service.sources.tables.references import read_references, reference_path
from stream_service.sources.tables.sidecar_matching import NONE, Rows, match_rows
from stream_service.sources.tables.sidecar_pairing import describe_gaps, frames_of
from stream_service.sources.tiff.frames import TiffFrames
from stream_service.standard_file import SidecarContents, write_sidecar

NOT_NEEDED = {"energy_eV": "energy-eV", "det_dist_m": "det-dist-m", "pixel_m": "pixel-m", "exposure_s": "exposure-s"}
"""Columns that a log may lack, with the options of `ingest tiff` that say the same."""


@dataclass(frozen=True, slots=True)
class SidecarSummary:
    """Summary of the rows that were matched."""

    n_rows: int
    n_frames: int
    n_pairs: int
    matched_by: Match
    sources: tuple[str, ...]
    """What each dataset was made of that has another name or unit in the log, in words."""
    warnings: tuple[str, ...]
    """Sentences: files that are missing, what has no counterpart, bad cells, columns that are not there."""


def make_sidecar(
    pattern: str,
    csv: Path,
    output: Path,
    *,
    aliases: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    match: Match = Match.AUTO,
    row_offset: int | None = None,
    references: Mapping[str, str] | None = None,
    stage_map: StageMap | None = None,
    also: AlsoBelow = NOWHERE_ELSE,
    force: bool = False,
) -> SidecarSummary:
    """Write a sidecar. `references` are the locations of dark, flat and mask; without `stage_map` the positions of the
    log are those of the beam on the sample; `also` names folders to which reference files may lead.

    Raises `SourceError` (frames or log), `ConfigError` (the options), `WriteError` (the output).
    """
    locations = (references or {}).values()
    check_output(output, force=force, inputs=(csv, *map(reference_path, locations)))
    frames = TiffFrames(pattern)
    frames.check_undamaged()
    check_is_no_input(output, frames.files.paths)
    table = read_epics_csv(csv, aliases, units)
    rows = Rows(table.n_rows, table.identities.get(FRAME_INDEX), table.identities.get(UNIQUE_ID))
    matching = match_rows(rows, frames_of(frames), match, row_offset)
    images = {kind: found.image for kind, found in read_references(references or {}, also).items()}
    for kind, image in images.items():
        if image.shape != frames.shape:
            raise ConfigError(f"the {kind} is {image.shape}, the frames are {frames.shape}: they must be alike")
    files, pages = [""] * table.n_rows, np.full(table.n_rows, NONE, np.int64)
    for row, (name, page) in zip(matching.row_of_frame.tolist(), frames.places(), strict=True):
        if row != NONE:
            files[row], pages[row] = name, page
    contents = SidecarContents(
        columns=_columns(table, stage_map),
        files=files,
        pages=pages,
        matched_by=matching.by.value,
        references=images,
        provenance={"frames": Path(pattern).name, "csv": csv.name, "columns": "; ".join(table.sources)},
    )
    write_sidecar(output, contents)
    holes = [frames.files.missing] if frames.files.n_missing else []
    lacking = [
        f"{csv} has no {name}: give --{option} to ingest"
        for name, option in NOT_NEEDED.items()
        if name not in table.columns
    ]
    return SidecarSummary(
        n_rows=table.n_rows,
        n_frames=len(frames),
        n_pairs=table.n_rows - len(matching.rows_without_frame),
        matched_by=matching.by,
        sources=table.sources,
        warnings=(*holes, *describe_gaps(rows, frames, matching), *table.notes, *table.problems, *lacking),
    )


def _columns(table: EpicsTable, stage_map: StageMap | None) -> dict[str, npt.NDArray[np.float64 | np.int64]]:
    columns: dict[str, npt.NDArray[np.float64 | np.int64]] = {**table.columns}
    if stage_map is not None:
        stage = zip(columns["posx_m"].tolist(), columns["posy_m"].tolist(), strict=True)
        beam = np.array([stage_map.beam_on_sample(x_m, y_m) for x_m, y_m in stage])
        columns["posx_m"], columns["posy_m"] = beam[:, 0], beam[:, 1]
    names = {FRAME_INDEX: "frame_index", UNIQUE_ID: "unique_id", TIMESTAMP: "timestamp_ns"}
    return columns | {names[identity]: values for identity, values in table.identities.items()}
