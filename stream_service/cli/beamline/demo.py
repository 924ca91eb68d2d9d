"""`ptychostream demo`: the whole system on this machine, with progress while it runs and a summary at the end."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from stream_service.cli.files.ingest import TranslationOption
from stream_service.cli.options import OUTPUT
from stream_service.cli.progress import Progress as Shown
from stream_service.errors import ConfigError
from stream_service.interruption import raise_if_interrupted
from stream_service.settings.recorded_choices import Translation
from stream_service.text.terminal import console

if TYPE_CHECKING:
    from stream_service.service.demo import Outcome, Progress

EPILOG = (
    "Examples: ptychostream demo --points 150;   ptychostream demo --replay scan.cxi;   "
    "ptychostream demo -- --drop 0.05 --seed 3"
)


def demo(
    out: Annotated[
        Path, typer.Option(*OUTPUT, help="Folder for the files; those of an earlier demo are replaced.")
    ] = Path("demo-output"),
    points: Annotated[int, typer.Option(min=1, help="Scan positions.")] = 200,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Send the frames of this CXI or /entry file instead of simulated ones."),
    ] = None,
    translation: TranslationOption = None,
    ioc_options: Annotated[
        list[str] | None, typer.Argument(metavar="[-- IOCSIM OPTIONS]", help="Options for iocsim, see iocsim --help.")
    ] = None,
) -> None:
    """Simulated beamline, daemon and a Bluesky scan on this machine, from start to finished file."""
    raise typer.Exit(show_demo(out, points, replay, tuple(ioc_options or ()), translation))


def show_demo(
    out: Path, n_points: int, replay: Path | None, ioc_options: tuple[str, ...], translation: Translation | None = None
) -> int:
    """Run the demo and show it; the exit code: 0 if every frame is in the file, 130 if it was interrupted."""
    missing = [name for name in ("bluesky", "ophyd") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the demo needs {' and '.join(missing)}: pip install 'ptychostream[sim]'")
    from stream_service.service.demo import Demo  # with matplotlib, which takes half a second

    try:
        with Shown("row", "demo") as shown:
            demonstration, is_told = Demo(out, n_points, replay, ioc_options, translation), False

            def report(progress: Progress) -> None:
                nonlocal is_told
                raise_if_interrupted()
                if progress.rows_expected and not is_told:  # its service answers
                    is_told = True
                    shown.note(f"in another terminal: {demonstration.status_command}")
                    shown.note(f"for a page in a browser: {demonstration.web_command}")
                rate = f"{progress.rows_per_second:.0f}/s"
                shown.update(progress.rows, progress.rows_expected or None, what=progress.step, more=rate)

            outcome = demonstration.run(report)
    except KeyboardInterrupt:
        console.print("interrupted: the simulated beamline, the service and the plan were ended in order")
        return 130
    _summarize(outcome)
    return 0 if outcome.is_complete else 1


def _summarize(outcome: Outcome) -> None:
    from stream_service.settings.status_table import ServicePV

    status = outcome.status
    state = str(status[ServicePV.STATE])
    table = Table(title="ptychostream demo", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")  # a path is of use when it is whole
    colour = "green" if outcome.is_complete else "red"
    table.add_row("run", Text.assemble((state, f"bold {colour}"), f": {status[ServicePV.MESSAGE]}"))
    table.add_row("why it ended", str(status[ServicePV.END_REASON]))
    rows = f"{status[ServicePV.ROWS]} of {status[ServicePV.ROWS_EXPECTED]}"
    table.add_row("rows", f"{rows}, {outcome.rows_per_second:.1f} per second, moves included")
    ledger = ", ".join(
        f"{status[pv]} {words}"
        for pv, words in (
            (ServicePV.FRAMES_EXPECTED, "expected"),
            (ServicePV.FRAMES_STORED, "stored"),
            (ServicePV.FRAMES_BACKFILLED, "of them from the raw file"),
            (ServicePV.FRAMES_LOST, "lost"),
            (ServicePV.FRAMES_DUPLICATE, "duplicates"),
            (ServicePV.FRAMES_INCOMPLETE, "in incomplete groups"),
            (ServicePV.FRAMES_NOT_EXPOSED, "not exposed"),
        )
    )
    table.add_row("ledger", ledger)
    for note in outcome.notes:
        table.add_row("note", note)
    for name, path in (
        ("report", outcome.report),
        ("standard file", outcome.standard),
        ("detector's own file", outcome.raw),
        ("simulated truth", outcome.truth),
        ("picture", outcome.picture),
    ):
        table.add_row(name, str(path) if path.exists() else Text.assemble(str(path), (" is missing", "red")))
    console.print(table, soft_wrap=True)
