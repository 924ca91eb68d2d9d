"""`ptychostream run`: the daemon beside a beamline."""

from __future__ import annotations

import faulthandler
import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import ProfileArgument
from stream_service.errors import ConfigError
from stream_service.text.log_lines import STDERR, LogFormat, LogLevel, log_to_stderr, step_log_level

log = logging.getLogger(__name__)

EPILOG = "Example: ptychostream run xml_layouts/sim/profile.yaml --data-root /data/2026-11"


def run(
    profile: ProfileArgument,
    data_root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for the files, instead of the profile's.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more: --log-level debug.")] = False,
    log_format: Annotated[LogFormat, typer.Option(help="Log lines of text, or a JSON object a line.")] = LogFormat.TEXT,
    log_level: Annotated[LogLevel, typer.Option(help="Log this and what is worse.")] = LogLevel.INFO,
) -> None:
    """Run the daemon: serve its PVs, arm when a plan asks, write one file per run. Ctrl-C finishes the file.

    SIGUSR1 lets it log one level more while it runs, SIGUSR2 one less (systemctl kill --kill-who=main -s USR1 UNIT).
    """
    log_to_stderr(verbose=verbose, form=log_format, level=log_level)
    faulthandler.enable(file=STDERR)  # where it hung, when systemd's watchdog ends it (SIGABRT)
    from stream_service.service.daemon import Service
    from stream_service.settings.beamlines import find_profile
    from stream_service.settings.placeholders import placeholder_problem
    from stream_service.settings.profile_file import load_profile

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
    for number, steps in ((signal.SIGUSR1, 1), (signal.SIGUSR2, -1)):
        signal.signal(number, lambda *_, steps=steps: _step(steps))
    prefix = settings.service.prefix
    code = service.run(lambda: print(f"ptychostream ready: {settings.beamline}, prefix {prefix}", flush=True))
    raise typer.Exit(code)


def _step(steps: int) -> None:
    """Log more or less from now on, and say so by a thread: the signal may have come within a line of the log."""
    level = step_log_level(steps)
    threading.Thread(target=log.log, args=(level.number, "logging %s, and what is worse", level), daemon=True).start()
