"""The command `ptychostream`. Each command is thin: it reads its options, calls one function, and says what went wrong.

Exit codes: 0 all is well; 1 it was tried and failed, or what was made is not whole; 2 the options or the profile are
wrong; 130 interrupted. docs/reference/commands.md has the table.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stream_service import (
    cli_check,
    cli_export,
    cli_ingest,
    cli_init,
    cli_layout,
    cli_orient,
    cli_probe,
    cli_reconstruct,
    cli_repair,
    cli_replay,
    cli_sidecar,
)
from stream_service.cli_app import App, Commands
from stream_service.cli_options import OUTPUT, AlsoBelowOption
from stream_service.counted import counted
from stream_service.errors import ConfigError, PtychostreamError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.interruption import catch_signals
from stream_service.log_lines import log_to_stderr
from stream_service.terminal import bold, console, errors, show_what_cannot_be_encoded

app = App(
    name="ptychostream",
    cls=Commands,
    help="Live areaDetector streaming for ptychography: one standard file per scan, every frame accounted for.",
)
app.add_typer(cli_ingest.app, name="ingest")
app.add_typer(cli_layout.app, name="layout")
app.command(epilog=cli_init.EPILOG)(cli_init.init)
app.command(
    epilog="Examples: ptychostream replay scan.cxi --output /data --rate 50;   "
    "ptychostream replay scan001.h5 --profile hermes"
)(cli_replay.replay)
app.command(epilog=cli_check.EPILOG)(cli_check.check)
app.command(epilog=cli_sidecar.EPILOG)(cli_sidecar.sidecar)
app.command(epilog=cli_repair.EPILOG)(cli_repair.repair)
app.command(epilog=cli_export.EPILOG)(cli_export.export)
app.command(epilog=cli_probe.EPILOG)(cli_probe.probe)
app.command(epilog=cli_orient.EPILOG)(cli_orient.orient)
app.command(
    epilog="Examples: ptychostream recipe demo_std.h5;   "
    "ptychostream recipe demo_std.h5 --modes 2 --gpu --output try.py"
)(cli_reconstruct.recipe)
app.command(
    epilog="Examples: ptychostream reconstruct demo_std.h5 --engine DM --iters 200;   "
    "ptychostream reconstruct scan7_std.h5 --follow"
)(cli_reconstruct.reconstruct)

ProfileArgument = Annotated[
    str, typer.Argument(help="Name of a beamline (sim, hermes, xrnf, ...), or its profile (YAML).", metavar="PROFILE")
]
MARKS = {
    "ok": Text("ok", "green"),
    "advice": Text("warning", "yellow"),
    "error": Text("ERROR", "red"),
}


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"ptychostream {version('ptychostream')}")
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Live areaDetector streaming for ptychography: one standard file per scan, every frame accounted for."""


@app.command(epilog="Example: ptychostream run xml_layouts/sim/profile.yaml --data-root /data/2026-11")
def run(
    profile: ProfileArgument,
    data_root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for the files, instead of the profile's.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    """Run the daemon: serve its PVs, arm when a plan asks, write one file per run. Ctrl-C finishes the file."""
    log_to_stderr(verbose=verbose)
    from stream_service.layouts import find_profile
    from stream_service.placeholders import placeholder_problem
    from stream_service.profile_file import load_profile
    from stream_service.service.daemon import Service

    path = find_profile(profile)
    settings = load_profile(path)
    if problem := placeholder_problem(settings):
        raise ConfigError(f"the profile {path} cannot be run: {problem}")
    if data_root is not None:
        service_settings = settings.service.model_copy(update={"data_root": data_root.resolve()})
        settings = settings.model_copy(update={"service": service_settings})
    service = Service(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.end())
    prefix = settings.service.prefix
    code = service.run(lambda: print(f"ptychostream ready: {settings.beamline}, prefix {prefix}", flush=True))
    raise typer.Exit(code)


@app.command(epilog="Example: ptychostream status --prefix PTYCHO:")
def status(
    prefix: Annotated[str, typer.Option(help="Prefix of the service's PVs.")] = "PTYCHO:",
    timeout_s: Annotated[float, typer.Option(help="How long to wait for an answer.")] = 3.0,
) -> None:
    """Show what a running daemon is doing."""
    from stream_service.service.remote import read_status

    table = Table(show_header=False, box=None)
    for name, value in read_status(prefix, timeout_s).items():
        table.add_row(bold(name), str(value))
    console.print(table)


@app.command(
    epilog="Examples: ptychostream demo --points 150;   ptychostream demo --replay scan.cxi;   "
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
    translation: cli_ingest.TranslationOption = None,
    ioc_options: Annotated[
        list[str] | None, typer.Argument(metavar="[-- IOCSIM OPTIONS]", help="Options for iocsim, see iocsim --help.")
    ] = None,
) -> None:
    """Simulated beamline, daemon and a Bluesky scan on this machine, from start to finished file."""
    from stream_service.cli_demo import show_demo

    raise typer.Exit(show_demo(out, points, replay, tuple(ioc_options or ()), translation))


@app.command(epilog="Example: ptychostream validate demo_std.h5")
def validate(
    file: Annotated[Path, typer.Argument(help="A standard file, or any CXI file.", metavar="FILE")],
    also_below: AlsoBelowOption = None,
) -> None:
    """Check a file against our own rules and those of CXI 1.6; exit code 1 if it breaks one."""
    from stream_service.writer.validate import validate_file

    findings = validate_file(file, AlsoBelow(tuple(also_below or ())))
    for finding in findings:
        console.print(MARKS[finding.level], bold(f"{finding.where}:"), finding.message, soft_wrap=True)
    n_errors = sum(finding.level == "error" for finding in findings)
    if not n_errors:
        advice = f", with {counted(len(findings), 'warning')}" if findings else ""
        console.print(f"{file}: a valid standard file{advice}", soft_wrap=True)
    raise typer.Exit(int(n_errors > 0))


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
        folder = tempfile.mkdtemp(prefix="ptychostream-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        cache = Path(folder)
    os.environ["NUMBA_CACHE_DIR"] = str(cache)


def main() -> None:
    """Entry point: an error that is meant for people is one sentence on stderr, never a traceback."""
    show_what_cannot_be_encoded()
    _keep_compiled_code()
    catch_signals()  # so that what is half made is removed
    try:
        app()
    except PtychostreamError as error:
        errors.print(Text("error:", "red"), str(error), soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


if __name__ == "__main__":
    main()
