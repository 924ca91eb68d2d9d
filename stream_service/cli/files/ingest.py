"""`ptychostream ingest`: recorded files through the same pipeline as live frames."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from stream_service.cli.app import App, one_input
from stream_service.cli.options import OUTPUT, ForceOption, shares_options
from stream_service.cli.progress import Progress
from stream_service.interruption import raise_if_interrupted
from stream_service.run.recorded.correction_options import CorrectionOptions
from stream_service.settings.recorded_choices import Translation
from stream_service.text.counted import counted
from stream_service.text.terminal import console

if TYPE_CHECKING:
    from stream_service.run.recorded.ingest_settings import IngestSettings
    from stream_service.sources.recording import Recording

app = App(help="Make a standard file of recorded frames.")
OutputOption = Annotated[Path, typer.Option(*OUTPUT, help="Standard file to make.")]
TranslationOption = Annotated[
    Translation | None,
    typer.Option(help="What the translation in a CXI file moves (sample, as CXI says)."),
]


@app.command(
    epilog="Examples: ptychostream ingest hdf5 --input scan001.h5 --output scan001_std.h5 "
    "--frames-per-pos 3 --grouping sum --roi 1024,1024 --roi-center 0.5,0.5 --rotate 90 --flip h --sat 65000;   "
    "ptychostream ingest hdf5 --input scan001.h5 --output scan001_std.h5 --profile hermes;   "
    "ptychostream ingest hdf5 --input scan002.h5 --output scan002_std.h5 --profile hermes --follow"
)
@shares_options
def hdf5(
    output: OutputOption,
    options: CorrectionOptions,
    file: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="areaDetector, CXI (/entry_1) or /entry file.")
    ] = None,
    input_file: Annotated[str | None, typer.Option("--input", metavar="FILE", help="The same, as an option.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="The input is still being written (SWMR): go on until it is closed.")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="For --follow: end when nothing new came for this long.")
    ] = 60.0,
    data_path: Annotated[str, typer.Option(metavar="PATH", help="Frames, if the layout is not known.")] = "",
    pos_x_path: Annotated[str, typer.Option(metavar="PATH", help="x of each frame.")] = "",
    pos_y_path: Annotated[str, typer.Option(metavar="PATH", help="y of each frame.")] = "",
    pos_unit: Annotated[str, typer.Option(metavar="m|mm|um|nm", help="Their unit, if the file does not say it.")] = "",
    energy_path: Annotated[str, typer.Option(metavar="PATH", help="Photon energy, one number or one a frame.")] = "",
    exposure_path: Annotated[str, typer.Option(metavar="PATH", help="Exposure time in seconds, likewise.")] = "",
    translation: TranslationOption = None,
    force: ForceOption = False,
) -> None:
    """From an HDF5 file: areaDetector's (any layout), CXI, or the /entry schema; closed, growing or never closed."""
    from stream_service.output_file import check_is_no_input, check_output
    from stream_service.sources.hdf5.recording import Follow, Hdf5Paths, Hdf5Recording

    source = Path(one_input(file, input_file, "--input", "the file to read"))
    check_output(output, force=force, inputs=(source, *options.files))
    paths = Hdf5Paths(
        data=data_path,
        pos_x=pos_x_path,
        pos_y=pos_y_path,
        pos_unit=pos_unit,
        energy=energy_path,
        exposure=exposure_path,
    )
    given = {"x": pos_x_path, "y": pos_y_path, "energy": energy_path}
    settings = replace(
        options.settings(frozenset(name for name, path in given.items() if path)), translation=translation
    )
    following = Follow(timeout_s) if follow else None
    field = _timestamp_field(settings)
    with Hdf5Recording(
        source, paths, following, timestamp_field=field, translation=settings.translation_to_read, also=options.also
    ) as recording:
        check_is_no_input(output, recording.files)
        _ingest(recording, output, settings, force=force, live=follow)


@app.command(
    epilog="Example: ptychostream ingest tiff --pattern 'scan001_*.tif' --sidecar scan001_sidecar.h5 "
    "--output scan001_std.h5 --frames-per-pos 2 --grouping mean --roi 1024,1024 --roi-center 256,300 "
    "--rotate 270 --flip v"
)
@shares_options
def tiff(
    output: OutputOption,
    options: CorrectionOptions,
    frames: Annotated[
        list[str] | None, typer.Argument(metavar="GLOB", help="Numbered or multi-page TIFFs; quote it.")
    ] = None,
    pattern: Annotated[str | None, typer.Option(metavar="GLOB", help="The same, as an option.")] = None,
    sidecar: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HDF5 with the values of each frame (ptychostream sidecar).")
    ] = None,
    force: ForceOption = False,
) -> None:
    """From numbered or multi-page TIFFs, and a sidecar with what belongs to each frame."""
    from stream_service.output_file import check_is_no_input, check_output
    from stream_service.sources.tiff.recording import TiffRecording

    files = one_input(frames, pattern, "--pattern", "the pattern of the TIFFs")
    check_output(output, force=force, inputs=filter(None, (sidecar, *options.files)))
    settings = options.settings()
    offset = settings.row_offset if settings.readbacks is None else None
    with TiffRecording(files, sidecar, settings.match, _timestamp_field(settings), offset, options.also) as recording:
        check_is_no_input(output, recording.files)
        _ingest(recording, output, settings, force=force, live=False)


def _timestamp_field(settings: IngestSettings) -> Literal["timeStamp", "dataTimeStamp"]:
    return settings.profile.detector.frame_time.field if settings.profile else "timeStamp"


def _ingest(recording: Recording, output: Path, settings: IngestSettings, *, force: bool, live: bool) -> None:
    """The work of both commands, with its progress; says at the end what became of every frame."""
    from stream_service.core.run import RunState
    from stream_service.run.recorded.ingest import Listener, ingest

    rows, columns = recording.frame_shape
    n_frames = counted(recording.n_frames, "frame")
    found = f"{recording.path}: {recording.layout}, {n_frames} of {rows} x {columns} {recording.dtype}"
    began_s = time.monotonic()
    with Progress("frame", output.name, heading=found) as progress:

        class Shown(Listener):
            def progress(self, done: int, total: int | None) -> None:
                raise_if_interrupted()
                progress.update(done, total, more=f"{done / max(time.monotonic() - began_s, 1e-3):.0f} frames/s")

            def note(self, text: str) -> None:
                progress.note(text)

        outcome = ingest(recording, output, settings, force=force, live=live, listener=Shown())
        progress.head()
    is_complete = outcome.state is RunState.COMPLETE
    state = "" if is_complete else f"{outcome.state}: "
    console.print(f"{output}: {state}{outcome.sentence} ({outcome.frames_per_s:.0f} frames/s)", soft_wrap=True)
    if outcome.flagged:
        console.print(Text("flagged:", "yellow"), outcome.flagged, soft_wrap=True)
    raise typer.Exit(int(not is_complete))
