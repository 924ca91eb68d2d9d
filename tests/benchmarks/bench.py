"""`make bench`: what the live path and the offline path carry on this machine, in two tables of one run.

Live, the same simulated detector feeds a bare p4p client and then the service with everything on. Offline, one file of
3 GB is copied by plain h5py and ingested, turn by turn. Only figures of one run are to be compared, since machines
differ and are noisy. `python tests/benchmarks/bench.py [--seconds S] [--megabytes M] [--only live|offline]`.
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

LIVE = Path(__file__).with_name("measure_live.py")
OFFLINE = Path(__file__).with_name("measure_ingest.py")
MOST_TIMES_PLAIN, MOST_MIB = 1.5, 600.0
"""What an ingest may take: wall time, of that of a plain copy, and memory."""
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


def measured(script: Path, *arguments: object) -> dict[str, Any]:
    """One line of a table, measured in a process of its own."""
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stderr}")
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


def bench_live(console: Console, seconds: float) -> bool:
    """A bare p4p client and the service, with the same detector; True if the floor holds."""
    table = Table(title="live path: bare p4p client beside the service with everything on", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    floor_holds = True
    for size, rate_hz in CASES:
        for who in ("client", "service"):
            with console.status(f"{who}, {size}x{size} at {rate_hz:.0f}/s"):
                found = measured(LIVE, who, size, rate_hz, seconds)
            table.add_row(*cells(found))
            if who == "service" and size == 256 and rate_hz == FLOOR_HZ:
                floor_holds = found["unaccounted"] == 0 and found["rows_per_s"] > 0.95 * found["offered_hz"]
    console.print(table)
    console.print(
        f"floor, 256² at {FLOOR_HZ:.0f}/s with 0 frames unaccounted: {'holds' if floor_holds else 'DOES NOT HOLD'}"
    )
    return floor_holds


def bench_offline(console: Console, megabytes: int) -> bool:
    """An ingest and a plain h5py copy of one file; True if it is fast and small enough."""
    with console.status(f"ingest of {megabytes} MB"):
        found = measured(OFFLINE, "--megabytes", megabytes)
    table = Table(
        title=f"offline path: {found['input_MB']:.0f} MB, {found['frames']} frames of {found['size']}² uint32"
    )
    for column in ("", *(f"round {number}" for number in range(1, len(found["plain_s"]) + 1)), "peak memory"):
        table.add_column(column, justify="right")
    for name, seconds, peak in (
        ("plain h5py copy", found["plain_s"], found["plain_peak_MiB"]),
        ("ptychostream ingest hdf5", found["ingest_s"], found["peak_MiB"]),
    ):
        table.add_row(name, *(f"{took:.1f} s" for took in seconds), f"{peak} MiB")
    console.print(table)
    holds = found["ratio"] <= MOST_TIMES_PLAIN and found["peak_MiB"] <= MOST_MIB
    console.print(
        f"ingest takes {found['ratio']:.2f} times as long as a plain copy (median of the rounds); at most "
        f"{MOST_TIMES_PLAIN:g} times and {MOST_MIB:g} MiB: {'holds' if holds else 'DOES NOT HOLD'}"
    )
    return holds


def bench(
    seconds: Annotated[float, typer.Option(help="Length of each live measurement.")] = 8.0,
    megabytes: Annotated[int, typer.Option(help="Size of the file to ingest.")] = 3000,
    only: Annotated[str, typer.Option(help="live or offline; else both.")] = "",
) -> None:
    """Measure both paths; exit code 1 if one does not reach what it must."""
    console = Console(width=140)
    holds = True
    if only != "offline":
        holds &= bench_live(console, seconds)
    if only != "live":
        holds &= bench_offline(console, megabytes)
    raise typer.Exit(int(not holds))


if __name__ == "__main__":
    typer.run(bench)
