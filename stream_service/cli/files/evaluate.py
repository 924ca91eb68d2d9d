"""`ptychostream evaluate`: which rows of a file are bad, why, and the maps that show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import OUTPUT, AlsoBelowOption
from stream_service.cli.progress import Progress
from stream_service.hdf5.targets import AlsoBelow
from stream_service.settings.recorded_choices import Translation
from stream_service.text.terminal import console, show_notes

EPILOG = (
    "Examples: ptychostream evaluate demo_std.h5;   "
    "ptychostream evaluate demo_std.h5 --reject-topp 0.02 --apply;   "
    "ptychostream evaluate /path/to/data.cxi --data-path /entry_1/data/data "
    "--pos-x-path /entry_1/instrument/positioners/x --pos-y-path /entry_1/instrument/positioners/y "
    "--roi 1024 --bin 4 --embed-side 32 --pca-k 12 --w-feat 0.5 --reject-topp 0.02 --rect 0 0 50 50 "
    "--emit-ptypy-json qc_run/ptypy_indices.json --thumbs-topk 48 --thumbs-size 256 --out qc_run"
)
Texts4 = tuple[str, str, str, str]
Texts3 = tuple[str, str, str]


def evaluate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A standard file, CXI, or HDF5 with --data-path.", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="Folder for the results; <scan>_quality beside FILE.")
    ] = None,
    data_path: Annotated[str, typer.Option(metavar="PATH", help="Frames, if the layout is not known.")] = "",
    pos_x_path: Annotated[str, typer.Option(metavar="PATH", help="x of each frame.")] = "",
    pos_y_path: Annotated[str, typer.Option(metavar="PATH", help="y of each frame.")] = "",
    pos_unit: Annotated[str, typer.Option(metavar="m|mm|um|nm", help="Their unit, if the file does not say it.")] = "",
    translation: Annotated[
        Translation | None, typer.Option(help="What the translation in a CXI file moves (sample, as CXI says).")
    ] = None,
    roi: Annotated[
        str | None, typer.Option(metavar="N|NY,NX", help="Look at these pixels about the middle of the frame (all).")
    ] = None,
    bin: Annotated[int | None, typer.Option(min=1, help="Pixels per looked-at pixel on each axis (1).")] = None,
    embed_side: Annotated[
        int | None, typer.Option(min=2, max=128, help="Cells along each side of the frame, for the embedding (16).")
    ] = None,
    pca_k: Annotated[int | None, typer.Option(min=1, max=32, help="Components of the embedding's PCA (12).")] = None,
    w_feat: Annotated[
        float | None, typer.Option(min=0, max=1, help="Weight of the features beside the embedding (0.5).")
    ] = None,
    reject_topk: Annotated[int | None, typer.Option(metavar="K", help="Reject the worst K rows.")] = None,
    reject_topp: Annotated[float | None, typer.Option(metavar="P", help="Reject this worst fraction, 0 to 1.")] = None,
    reject_thresh: Annotated[float | None, typer.Option(metavar="T", help="Reject scores from T on, 0 to 1.")] = None,
    rect: Annotated[
        Texts4 | None, typer.Option(metavar="CX CY W H", help="Only rows in this rectangle; µm, or 50um, 0.05mm.")
    ] = None,
    circ: Annotated[Texts3 | None, typer.Option(metavar="CX CY R", help="Only rows in this circle, likewise.")] = None,
    emit_ptypy_json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Lists of rows, as `ingest --reject-json` takes them.")
    ] = None,
    thumbs_topk: Annotated[int, typer.Option(min=0, help="Rows of which thumbnails are made, the worst first.")] = 24,
    thumbs_size: Annotated[int, typer.Option(min=16, max=4096, help="Longer side of a thumbnail, in pixels.")] = 256,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the verdicts into FILE: keep, and CXI's score and tags.")
    ] = False,
    also_below: AlsoBelowOption = None,
) -> None:
    """Score the rows of a file, reject the bad ones, say why; FILE is only read, unless --apply."""
    from stream_service.errors import ConfigError
    from stream_service.interruption import raise_if_interrupted
    from stream_service.quality_report.evaluated_file import EvaluatedFile
    from stream_service.quality_report.evaluation import EvaluationSettings, evaluate_rows
    from stream_service.quality_report.region import region_of
    from stream_service.quality_report.rejection import Rejection
    from stream_service.quality_report.report import Report
    from stream_service.quality_report.view import View
    from stream_service.quality_report.words import found_in_words, written_in_words
    from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording
    from stream_service.standard_file import RowVerdicts, apply_verdicts, check_takes_verdicts

    rejection, region = Rejection(reject_topk, reject_topp, reject_thresh), region_of(rect, circ)
    given = {name: value for name, value in (("pca_k", pca_k), ("w_feat", w_feat)) if value is not None}
    report = Report(
        out or file.with_name(file.stem.removesuffix("_std") + "_quality"), emit_ptypy_json, thumbs_topk, thumbs_size
    )
    if apply:
        check_takes_verdicts(file)
    paths = Hdf5Paths(data=data_path, pos_x=pos_x_path, pos_y=pos_y_path, pos_unit=pos_unit)
    also = AlsoBelow(tuple(also_below or ()))
    asked = {name: said_of(value) for name, value in context.params.items() if value not in (None, "", (), False)}
    with Hdf5Recording(file, paths, translation=translation, also=also) as recording:
        scan = EvaluatedFile(recording, View.of(recording.frame_shape, roi, bin, embed_side))
        if (pos_x_path or pos_y_path) and not scan.has_positions:
            raise ConfigError(f"{file} has no other positions: --pos-x-path and --pos-y-path are needed both")
        settings = EvaluationSettings(rejection, region, scan.made_with.quality(**given))
        report.prepare(recording.files)
        with Progress("row", "comparing") as progress:

            def compared(done: int) -> None:
                raise_if_interrupted()
                progress.update(done, scan.n_rows)

            found = evaluate_rows(scan, settings, compared)
        show_notes(found.notes)
        with Progress("thumbnail", report.folder.name) as progress:

            def drawn(done: int) -> None:
                raise_if_interrupted()
                progress.update(done, min(thumbs_topk, scan.n_rows))

            report.write(scan, found, asked, drawn)
    applied = apply_verdicts(file, RowVerdicts(found.score, found.rejected, found.evaluated)) if apply else ()
    for sentence in (*found_in_words(scan, found), written_in_words(report.folder, file, thumbs_topk, applied)):
        console.print(sentence, soft_wrap=True)


def said_of(value: object) -> object:
    """The value of an option as JSON has it."""
    if isinstance(value, tuple | list):
        return [said_of(each) for each in value]
    return value if isinstance(value, int | float | str) else str(value)
