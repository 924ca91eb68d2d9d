"""`make bench`: what this service carries on this machine, beside what others carry, in tables, JSON and a figure.

Parts, each a script beside this one that prints lines of JSON: `live` (contenders in front of one detector), `latency`
(until a reader sees a row), `faces` (with page, screens, metrics and terminal open), `overload` (offered more than it
carries), `kernel`, `writer`, `offline` (ingest beside a plain copy), `evaluate` (beside numpy), `quality` (which faults
are found: only in `bench.json` and the aims). Only figures of one run are to be compared, since machines differ and are
noisy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from report import NAMES, figure, table_of_lines, table_of_live, table_of_threads, verdicts
from rich.console import Console

HERE = Path(__file__).parent
CROPPED = ("2048", "--crop", "1024", "--per-position", "3")
CASES: tuple[tuple[str, ...], ...] = (("256",), ("128",))
LONG_CASES = (
    *CASES,
    ("512",),
    ("1024",),
    CROPPED,
    *(("--codec", "bslz4", *case) for case in (("128",), ("256",), ("512",), ("1024",), CROPPED)),
)
PARTS = ("live", "latency", "faces", "overload", "kernel", "writer", "offline", "evaluate", "quality")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def lines_of(script: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """What a script measures, as it comes; a script that fails ends the benchmark."""
    command = [sys.executable, str(HERE / script), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed with exit code {process.returncode}")


def arguments_of(part: str, is_long: bool) -> list[list[str]]:
    """How often the script of a part is run, and with which options."""
    match part:
        case "live":
            return [list(case) for case in (LONG_CASES if is_long else CASES)]
        case "latency":
            return [["--rows", "100000"], ["--rows", "1000000", "--size", "32"]] if is_long else [["--rows", "20000"]]
        case "overload":
            return [["--seconds", "60"] if is_long else ["--seconds", "10", "--queue", "16"]]
        case "quality" if not is_long:
            return [["--seeds", "3", "--clean-seeds", "3", "--real-seeds", "5"]]
    return [[]]


def some_of(known: Iterable[str], option: str, said: str) -> list[str]:
    """The names that an option lists; all that are known if it is not given."""
    names = said.split(",") if said else list(known)
    if unknown := set(names) - set(known):
        raise typer.BadParameter(f"{option} {said}: {', '.join(sorted(unknown))} is none of {', '.join(known)}")
    return names


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Folder of bench.json and bench.png.")] = Path("bench-output"),
    only: Annotated[str, typer.Option(help=f"Some of {', '.join(PARTS)}; else all.")] = "",
    long: Annotated[bool, typer.Option("--long", help="All sizes, bslz4, a million rows: about two hours.")] = False,
    contenders: Annotated[str, typer.Option(help=f"Some of {', '.join(NAMES)}; else all.")] = "",
    seconds: Annotated[float, typer.Option(help="Length of each live measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(help="Measurements of each contender.")] = 3,
) -> None:
    """Measure, print the tables, write the figures; exit code 1 if one does not reach what it must."""
    parts = some_of(PARTS, "--only", only)
    some_of(NAMES, "--contenders", contenders)
    console = Console(width=160)
    out.mkdir(parents=True, exist_ok=True)
    machine = {"date": time.strftime("%Y-%m-%d"), "version": version("ptychostream"), "cores": os.cpu_count()}
    found: dict[str, list[dict[str, Any]]] = {}
    began = time.monotonic()
    for part in (part for part in PARTS if part in parts):
        script = {"offline": "measure_ingest.py"}.get(part, f"measure_{part}.py")
        for arguments in arguments_of(part, long):
            if part == "live":
                arguments += ["--seconds", str(seconds), "--rounds", str(rounds)]
                arguments += ["--only", contenders] if contenders else []
            with console.status(f"{script} {' '.join(arguments)}") as status:
                for line in lines_of(script, *arguments):
                    found.setdefault(part, []).append(line)
                    if "note" in line:
                        console.print(line["note"], highlight=False)
                    status.update(f"{script} {' '.join(arguments)}: {len(found[part])} lines, {line.get('who', '')}")
        if part == "live":
            console.print(table_of_live(found[part]), table_of_threads(found[part]))
        elif part == "faces":
            console.print(
                table_of_live(found[part], "faces: at 1 kHz, medians of the rounds, lost and unaccounted are sums")
            )
        elif part != "quality":
            console.print(table_of_lines(part, found[part]))
        (out / "bench.json").write_text(json.dumps(machine | {"parts": found}, indent=1))
    made = [out / "bench.json"]
    if any("who" in line for line in found.get("live", [])):
        figure(found["live"], out / "bench.png")
        made.append(out / "bench.png")
    holds = True
    for sentence, is_reached in verdicts(found):
        console.print(f"{'reached    ' if is_reached else 'NOT REACHED'} {sentence}", highlight=False)
        holds &= is_reached
    console.print(f"{(time.monotonic() - began) / 60:.0f} minutes; {', '.join(map(str, made))}")
    raise typer.Exit(int(not holds))


if __name__ == "__main__":
    app()
