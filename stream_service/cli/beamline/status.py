"""`ptychostream status`: what a running daemon is doing, once or for as long as one watches."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from stream_service.text.printable import printable
from stream_service.text.terminal import bold, console

if TYPE_CHECKING:
    from stream_service.service.remote import Seen

EPILOG = "Examples: ptychostream status --prefix PTYCHO:;   ptychostream status --json;   ptychostream status --watch"
RENEWED_S = 0.25
"""A screen that is renewed faster cannot be read."""
LOOK_S = 1.0
"""Nothing tells of a service that hangs, so that it is looked at."""
QUIET_S = 10.0
"""Where the output is no terminal, a line at least this often."""


def status(
    prefix: Annotated[str, typer.Option(help="Prefix of the service's PVs.")] = "PTYCHO:",
    timeout_s: Annotated[float, typer.Option(help="How long to wait for an answer.")] = 3.0,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object: the name of each PV below the prefix and its value (null: not known), and "
            "`alarms`, of those in alarm. With --watch: one a line, whenever something has changed.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on until Ctrl-C; a service that goes away is told, and found again. Where the output is no "
            "terminal: a line for each change of state and message, and every 10 s.",
        ),
    ] = False,
) -> None:
    """Show what a running daemon is doing: state and message first, then the run, its frames, the service."""
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(prefix, as_json)
        return
    from stream_service.service.remote import RemoteService

    seen = RemoteService(prefix, timeout_s).look()
    if as_json:
        print(json.dumps(as_object(seen), indent=2))
        return
    from stream_service.cli.beamline.status_screen import and_alarm

    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")  # a path is of use when it is whole
    for pv, value in seen.values.items():
        table.add_row(bold(pv), and_alarm(Text(pv.type.in_words(value)), pv, seen))
    console.print(table)


def as_object(seen: Seen) -> dict[str, Any]:
    """For a script; what is not known is None, since JSON has no NaN."""
    values = {str(pv): None if _is_unknown(value) else value for pv, value in seen.values.items()}
    return values | {"alarms": {str(pv): word for pv, word in seen.alarms.items()}}


def _is_unknown(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _watch(prefix: str, as_json: bool) -> None:
    if as_json:
        _print_objects(prefix)
    elif console.is_terminal:
        _show_screen(prefix)
    else:
        _print_lines(prefix)


def _looks(prefix: str) -> Iterator[Seen | None]:
    """The service again and again: when something has changed, and every second; None: no answer."""
    from stream_service.channel_access.library import log_ca_exceptions
    from stream_service.service.remote import WatchedService

    logging.basicConfig(handlers=[logging.NullHandler()])  # what libca says of a lost service, the screen does
    log_ca_exceptions()
    service = WatchedService(prefix)
    try:
        while True:
            yield service.look()
            service.wait(LOOK_S)
            time.sleep(RENEWED_S)  # what changes at once is shown at once
    finally:
        service.close()


def _show_screen(prefix: str) -> None:
    from rich.live import Live

    from stream_service.cli.beamline.status_screen import away, screen

    answered_s = time.monotonic()
    with Live(Text(f"looking for {prefix}"), console=console, screen=True, auto_refresh=False) as live:
        for seen in _looks(prefix):
            now_s = time.monotonic()
            answered_s = now_s if seen is not None else answered_s
            live.update(away(prefix, now_s - answered_s) if seen is None else screen(prefix, seen), refresh=True)


def _print_lines(prefix: str) -> None:
    from stream_service.cli.beamline.status_screen import line
    from stream_service.settings.status_table import ServicePV

    def key(seen: Seen | None) -> object:
        return seen and (seen.values[ServicePV.STATE], seen.values[ServicePV.MESSAGE], seen.alarms)

    for seen in _changed(_looks(prefix), key, QUIET_S):
        words = f"NO ANSWER | no service answers at {prefix}" if seen is None else line(seen)
        print(datetime.now().astimezone().isoformat(" ", "seconds"), printable(words), flush=True)


def _print_objects(prefix: str) -> None:
    from stream_service.settings.status_table import ServicePV

    def key(seen: Seen | None) -> object:
        """Without what changes by itself."""
        return seen and {name: value for name, value in as_object(seen).items() if name != ServicePV.HEARTBEAT}

    for seen in _changed(_looks(prefix), key, math.inf):
        found = {"error": f"no service answers at {prefix}"} if seen is None else as_object(seen)
        print(json.dumps(found), flush=True)


def _changed(
    looks: Iterator[Seen | None], key: Callable[[Seen | None], object], quiet_s: float
) -> Iterator[Seen | None]:
    """Those looks that differ by their key from the one before, and one every `quiet_s`."""
    before, told_s = object(), -math.inf
    for seen in looks:
        now, now_s = key(seen), time.monotonic()
        if now != before or now_s - told_s >= quiet_s:
            before, told_s = now, now_s
            yield seen
