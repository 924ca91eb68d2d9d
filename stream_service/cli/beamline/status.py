"""`ptychostream status`: what a running daemon is doing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from stream_service.text.terminal import bold, console

EPILOG = "Example: ptychostream status --prefix PTYCHO:"


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
