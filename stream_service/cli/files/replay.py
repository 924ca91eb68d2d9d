"""`ptychostream replay`: a recorded file through the live path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.files.ingest import TranslationOption
from stream_service.cli.options import OUTPUT, shares_options
from stream_service.cli.progress import Progress
from stream_service.interruption import at_steps_only, raise_if_interrupted
from stream_service.run.recorded.correction_options import CorrectionOptions
from stream_service.text.counted import counted
from stream_service.text.terminal import console

EPILOG = (
    "Examples: ptychostream replay scan.cxi --output /data --rate 50;   ptychostream replay scan001.h5 --profile hermes"
)


@shares_options
def replay(
    file: Annotated[Path, typer.Argument(help="areaDetector, CXI or /entry file.", metavar="FILE")],
    options: CorrectionOptions,
    out: Annotated[Path, typer.Option(*OUTPUT, help="Folder for the file, which grows as in a live run.")] = Path("."),
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="HZ", help="Frames per second (as recorded, else 100).")
    ] = None,
    translation: TranslationOption = None,
    speed: Annotated[float, typer.Option(min=0.001, help="Times as fast as recorded, without --rate.")] = 1.0,
) -> None:
    """Feed a recorded file through the live path, without an IOC: one run of the service, and a file that grows."""
    from stream_service.core.run import RunState
    from stream_service.run.recorded.replay import replay as feed
    from stream_service.settings.service_status import RunStatus
    from stream_service.sources.hdf5.recording import Hdf5Recording

    settings = replace(options.settings(), translation=translation)
    field = settings.profile.detector.frame_time.field if settings.profile else "timeStamp"
    with (
        Hdf5Recording(
            file, timestamp_field=field, translation=settings.translation_to_read, also=options.also
        ) as recording,
        Progress("frame", file.name) as progress,
    ):

        def show(status: RunStatus) -> None:
            raise_if_interrupted()
            readable = f"{counted(status.rows, 'row')} readable"
            progress.update(status.received, recording.n_frames, what=f"{file.name} {status.state}", more=readable)

        with at_steps_only():
            status = feed(recording, out, settings, rate_hz=rate, speed=speed, on_progress=show, on_note=progress.note)
    console.print(f"{status.state}: {status.file}: {status.message}", soft_wrap=True)
    raise typer.Exit(int(status.state is not RunState.COMPLETE))
