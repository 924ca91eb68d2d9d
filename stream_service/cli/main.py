"""The command `ptychostream`. Each command is thin: it reads its options, calls one function, and says what went wrong.

Exit codes: 0 all is well; 1 a file, the beamline or the disk is wrong, or what was made is not whole; 2 the options
or the profile are; 130 interrupted. docs/reference/commands.md has the table.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from stream_service.cli.app import App, Commands
from stream_service.cli.beamline import check, demo, init, layout, run, status, web
from stream_service.cli.files import evaluate, ingest, repair, replay, report, sidecar, validate
from stream_service.cli.image import export, orient, probe, recipe, reconstruct
from stream_service.compilation import leave_out_extensions, tell_of_compilation
from stream_service.errors import PtychostreamError
from stream_service.interruption import catch_signals
from stream_service.processes.guard import lift_limits, out_of_memory
from stream_service.processes.reading import last_read, removed_at_the_end
from stream_service.text.terminal import NOTE, errors, show_what_cannot_be_encoded

app = App(
    name="ptychostream",
    cls=Commands,
    help="Live areaDetector streaming for ptychography: one standard file per scan, every frame accounted for.",
)
app.add_typer(ingest.app, name="ingest")
app.add_typer(layout.app, name="layout")
app.command(epilog=init.EPILOG)(init.init)
app.command(epilog=check.EPILOG)(check.check)
app.command(epilog=run.EPILOG)(run.run)
app.command(epilog=status.EPILOG)(status.status)
app.command(epilog=web.EPILOG)(web.web)
app.command(epilog=demo.EPILOG)(demo.demo)
app.command(epilog=replay.EPILOG)(replay.replay)
app.command(epilog=sidecar.EPILOG)(sidecar.sidecar)
app.command(epilog=report.EPILOG)(report.report)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=validate.EPILOG)(validate.validate)
app.command(epilog=repair.EPILOG)(repair.repair)
app.command(epilog=orient.EPILOG)(orient.orient)
app.command(epilog=probe.EPILOG)(probe.probe)
app.command(epilog=recipe.EPILOG)(recipe.recipe)
app.command(epilog=reconstruct.EPILOG)(reconstruct.reconstruct)
app.command(epilog=export.EPILOG)(export.export)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        print(f"ptychostream {version('ptychostream')}")
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Live areaDetector streaming for ptychography: one standard file per scan, every frame accounted for."""


def _keep_compiled_code() -> None:
    """Let numba keep its machine code in the user's cache folder, and nothing in the installation.

    A user who cannot write there gets a folder for as long as the command runs: numba refuses to work without one. It
    is new and closed to others, since what stands in a cache of numba is run.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ptychostream")
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    if not os.access(cache, os.W_OK):
        folder = str(removed_at_the_end(Path(tempfile.mkdtemp(prefix="ptychostream-"))))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        cache = Path(folder)
    os.environ["NUMBA_CACHE_DIR"] = str(cache)


def main() -> None:
    """The command: an error that is meant for people is one sentence on stderr, never a traceback."""
    show_what_cannot_be_encoded()
    _keep_compiled_code()
    leave_out_extensions()
    tell_of_compilation(lambda text: errors.print(NOTE, text, soft_wrap=True))
    catch_signals()  # so that what is half made is removed
    try:
        app()
    except PtychostreamError as error:
        errors.print(Text("error:", "red"), str(error), soft_wrap=True)
        sys.exit(error.exit_code)
    except MemoryError:
        what, why = last_read(), out_of_memory()
        lift_limits()  # a library may have kept all that was allowed
        said = f"{what}: {why}" if what else why
        errors.print(Text("error:", "red"), said, soft_wrap=True)
        sys.exit(1)
