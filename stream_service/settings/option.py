"""Options of a command as fields of a dataclass; `cli.options` makes a command line of them."""

from __future__ import annotations

from dataclasses import field
from typing import Any

ALSO_BELOW = (
    "Follow what HDF5 files point to (external links, virtual datasets, raw files) below this folder, too, not only "
    "below their own; may be repeated."
)
"""Help of the option by which the operator names a folder."""


def option(text: str, *names: str, default: Any = None, **how: Any) -> Any:
    """A field that is an option: its help, its names if it has others than the field's, and what `typer` takes."""
    return field(default=default, metadata={"names": names, "help": text, **how})
