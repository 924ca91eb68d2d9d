"""`ptychostream status`: what a running daemon is doing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from stream_service.text.terminal import bold, console

if TYPE_CHECKING:
    from stream_service.settings.status_table import ServicePV, StatusValue

EPILOG = "Examples: ptychostream status --prefix PTYCHO:;   ptychostream status --json"


def status(
    prefix: Annotated[str, typer.Option(help="Prefix of the service's PVs.")] = "PTYCHO:",
    timeout_s: Annotated[float, typer.Option(help="How long to wait for an answer.")] = 3.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the name of each PV below the prefix, and its value.")
    ] = False,
) -> None:
    """Show what a running daemon is doing: state and message first, then the run, its frames, the service."""
    from stream_service.service.remote import read_status

    values = read_status(prefix, timeout_s)
    if as_json:
        print(json.dumps(values, indent=2))
        return
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")  # a path is of use when it is whole
    for pv, value in values.items():
        table.add_row(bold(pv), in_words(pv, value))
    console.print(table)


def in_words(pv: ServicePV, value: StatusValue) -> str:
    """A value with its unit, and a real number with the digits that it has."""
    from stream_service.settings.status_table import Kind

    shown = f"{float(value):.{pv.type.precision}f}" if pv.type.kind is Kind.DOUBLE else str(value)
    return f"{shown} {pv.type.unit}".rstrip()
