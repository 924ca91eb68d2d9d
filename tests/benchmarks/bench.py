"""`make bench`: what the live path carries on this machine, in one table of one run.

The same simulated detector feeds a bare p4p client and then the service with everything on; only figures of one run are
to be compared, since machines differ and are noisy. `python tests/benchmarks/bench.py [--seconds S]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

MEASURE = Path(__file__).with_name("measure_live.py")
FLOOR_HZ = 1000.0
CASES = ((128, FLOOR_HZ), (128, 4000.0), (256, FLOOR_HZ), (256, 2000.0))
"""Frame size and offered rate: the floor that must hold, and a rate near what the machine carries."""
COLUMNS = (
    "who",
    "frame",
    "offered",
    "at",
    "received",
    "lost",
    "unaccounted",
    "rows/s",
    "CPU/frame",
    "peak memory",
    "end",
)


def measure(who: str, size: int, rate_hz: float, seconds: float) -> dict[str, Any]:
    """One line of the table, measured in a process of its own."""
    command = [sys.executable, str(MEASURE), who, str(size), str(rate_hz), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the measurement of {who} at {size}x{size} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def cells(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        found["who"],
        f"{found['size']}² uint16",
        str(found["offered"]),
        f"{found['offered_hz']:.0f}/s",
        str(found["received"]),
        str(found["lost"]),
        str(found.get("unaccounted", "–")),
        f"{found['rows_per_s']:.0f}" if found["rows"] else "–",
        f"{found['cpu_us_per_frame']:.0f} µs",
        f"{found['peak_MiB']:.0f} MiB",
        found.get("state", "–"),
    )


def bench(seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 8.0) -> None:
    """Measure a bare p4p client and the service, with the same detector, in one table."""
    table = Table(title="live path: bare p4p client beside the service with everything on", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    console = Console(width=140)
    floor_holds = True
    for size, rate_hz in CASES:
        for who in ("client", "service"):
            with console.status(f"{who}, {size}x{size} at {rate_hz:.0f}/s"):
                found = measure(who, size, rate_hz, seconds)
            table.add_row(*cells(found))
            if who == "service" and size == 256 and rate_hz == FLOOR_HZ:
                floor_holds = found["unaccounted"] == 0 and found["rows_per_s"] > 0.95 * found["offered_hz"]
    console.print(table)
    console.print(
        f"floor, 256² at {FLOOR_HZ:.0f}/s with 0 frames unaccounted: {'holds' if floor_holds else 'DOES NOT HOLD'}"
    )
    raise typer.Exit(int(not floor_holds))


if __name__ == "__main__":
    typer.run(bench)
