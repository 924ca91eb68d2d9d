"""The PtyPy script for a standard file: complete, readable, and the very thing that `ptychostream reconstruct` runs.

The script needs PtyPy and the file, nothing of ours, so that a user can keep, change and send it. What in it is not
obvious is said in it; `docs/how-to/why-your-reconstruction-is-garbage.md` has the long version.
"""

from __future__ import annotations

from pathlib import Path

from stream_service.errors import ConfigError, InputFileError, WriteError
from stream_service.output_file import check_output, whole_file
from stream_service.ptycho.optics.illumination import Illumination
from stream_service.ptycho.ptypy import recipe_sections as sections
from stream_service.ptycho.ptypy.recipe_settings import Output, RecipeSettings, Start
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile
from stream_service.text.counted import counted

BLOCK_BYTES = 512 << 20
"""Of PtyPy's buffers for one block of frames; it keeps about 32 bytes per pixel (frame, mask, exit waves)."""
FEWEST_ROWS = 4
FOLLOWED_BLOCKS = 25
"""Blocks into which a scan is divided while it is followed: SwmrLoader takes whole blocks only."""


def recipe_text(
    scan: ScanFile,
    settings: RecipeSettings,
    illumination: Illumination,
    output: Output,
    *,
    follow: bool = False,
    start: Start | None = None,
    keep: Path | None = None,
) -> str:
    """The script. With `follow` PtyPy reads the file while it grows; `keep` has `/entry/keep` instead of the file.

    Raises `ConfigError` when it could not work.
    """
    check_scan(scan, follow=follow)
    side = scan.square_px
    block = max(1, min(10_000, BLOCK_BYTES // (32 * side * side)))
    if follow:
        assert scan.n_rows_expected is not None  # see check_scan
        block = min(block, max(1, scan.n_rows_expected // FOLLOWED_BLOCKS))
    parts = [
        sections.general(scan, output, block),
        sections.follow(scan) if follow else sections.offline(keep),
        sections.common_data(scan, illumination),
        illumination.code,
    ]
    if settings.n_modes > 1:
        parts.append(sections.modes(settings.n_modes))
    if start is not None:
        parts.append(sections.going_on(start))
    parts += [sections.engines(settings, scan, illumination), sections.run(follow=follow)]
    body = "\n".join(part.strip("\n") + "\n" for part in parts)
    return sections.head(scan, settings, follow=follow, needs_numpy="np." in body) + "\n" + body


def write_recipe(
    data: Path, out: Path, settings: RecipeSettings, choices: ScanChoices, *, force: bool
) -> tuple[str, ...]:
    """Write the script for a finished scan; what the user should know of it. Its results go beside it.

    Raises `ConfigError`, `SourceError`, and `WriteError` if `out` exists already.
    """
    check_output(out, force=force, inputs=(data, *choices.files))
    scan = choices.read_scan(data)
    output = Output(out.parent, out.stem.removesuffix("_recipe"))
    try:
        illumination = choices.illumination(scan, out.parent, output.run)
        script = recipe_text(scan, settings, illumination, output)
        with whole_file(out, replace=force) as unfinished, unfinished.open("x", encoding="utf-8") as file:
            file.write(script)
    except OSError as error:
        raise WriteError(f"cannot write {out}: {error.strerror}") from error
    return (*scan.notes, *illumination.remarks)


def check_scan(scan: ScanFile, *, follow: bool = False) -> None:
    """Raises `ConfigError` for a file from which nothing can be reconstructed."""
    if scan.square_px < 8:
        row, column = scan.center_px
        raise ConfigError(
            f"{scan.path}: the optical axis at row {row:g}, column {column:g} is too near the edge of the frames of "
            f"{scan.frame_shape[0]} x {scan.frame_shape[1]}: ingest again with another --roi-center"
        )
    if follow and scan.n_rows_expected is None:
        raise ConfigError(
            f"{scan.path} cannot be followed: how many positions the scan has was not known at its start, and PtyPy "
            "has to know; wait for the end and reconstruct without --follow"
        )
    if scan.is_growing and not follow:
        raise InputFileError(
            f"{scan.path} is still being written, or its writer was killed, and PtyPy would open it closed only, and "
            "read every row: wait for the end, put the file of a killed writer in order by `ptychostream repair "
            f"{scan.path}`, or let `ptychostream reconstruct` see to it"
        )
    if not follow and scan.n_kept < FEWEST_ROWS:
        raise InputFileError(
            f"{scan.path} has {counted(scan.n_kept, 'row')} to use of {scan.n_rows}: too few for a reconstruction"
        )
