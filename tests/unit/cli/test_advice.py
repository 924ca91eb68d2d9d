"""Options that our texts advise exist, and where a source speaks to its commands, in each of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import iocsim.cli
import stream_service.cli.main

CHECKOUT = Path(__file__).resolve().parents[3]
OPTION = re.compile(r"(?<![\w-])--[a-z][A-Za-z-]*")
OF_OTHERS = {
    "--json",
    "--scan-id",
    "--raw-dir",
    "--exposure-s",
    "--positions",
    "--step-um",
    "--increment",
    "--kill-who",
}
"""Of the plans' command, which the demo starts, of h5clear, beyond which `repair` goes, and of systemctl; else nothing
here speaks of another program's options."""


def leaves(command: Any, name: str = "ptychostream") -> dict[str, set[str]]:
    """The options of every command by its whole name."""
    inner = getattr(command, "commands", {})
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    found = {} if inner else {name: own}
    for word, child in inner.items():
        found |= leaves(child, f"{name} {word}")
    return found


COMMANDS = leaves(typer.main.get_command(stream_service.cli.main.app))
IOCSIM = {option for parameter in typer.main.get_command(iocsim.cli.app).params for option in parameter.opts}


def advised(path: Path) -> Iterator[tuple[int, str]]:
    """Options in the texts of a file; those of docstrings, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno, option) for option in OPTION.findall(node.value))


@pytest.mark.parametrize("path", sorted((CHECKOUT / "stream_service").rglob("*.py")), ids=lambda path: path.name)
def test_every_option_that_is_named_exists(path: Path) -> None:
    known = set().union(*COMMANDS.values(), IOCSIM, OF_OTHERS, {"--help"})
    assert [(line, option) for line, option in advised(path) if option not in known] == []


@pytest.mark.parametrize("module", ["recorded_readbacks", "epics_csv", "epics_columns"])
def test_who_reads_logs_advises_what_all_its_commands_take(module: str) -> None:
    path = CHECKOUT / "stream_service" / "sources" / "tables" / f"{module}.py"
    takers = ("ptychostream ingest hdf5", "ptychostream ingest tiff", "ptychostream replay")
    common = set.intersection(*(COMMANDS[name] for name in takers))
    assert [(line, option) for line, option in advised(path) if option not in common] == []
