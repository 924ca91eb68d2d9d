"""Values of the options of `iocsim`: what cannot be is refused with a ValueError that begins with the option."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from iocsim.clocks import ClockFaults, Step
from iocsim.fault_table import read_faults
from iocsim.fault_values import clock_error_s
from iocsim.unique_ids import FaultError, parse_ids


def faults_of(path: Path) -> dict[str, Any]:
    """Names and values of the file of `--faults`."""
    try:
        return read_faults(path)
    except FaultError as error:
        raise ValueError(f"--faults {path}: {error}") from error
    except OSError as error:
        raise ValueError(
            f"--faults {path} cannot be read ({error.strerror}): give a YAML file with lines such as drop_ids: 1,7"
        ) from error


def refuse_unwritable(option: str, path: Path) -> None:
    """The truth is written at the end: what stands in its way is said at the start."""
    folder = path.resolve().parent
    if path.is_dir():
        raise ValueError(f"{option} {path} is a folder: give the name of a file in it")
    if not folder.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {folder}: make it, or choose another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: this user may not write into {folder}: choose another folder")


def taken(option: str, value: Any, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of the value of an option."""
    try:
        return read(value)
    except FaultError as error:
        raise ValueError(f"{option} {error}") from error


def clock_of(name: str, offset_s: float, step: str, frozen_ids: str) -> ClockFaults:
    """Errors of a clock from the three options that begin with its name."""
    return ClockFaults(
        taken(f"{name}-offset", offset_s, clock_error_s),
        taken(f"{name}-step", step, Step.parse),
        taken(f"{name}-freeze", frozen_ids, parse_ids),
    )


def shape_of(text: str) -> tuple[int, int]:
    """Rows and columns."""
    try:
        rows, columns = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--shape {text}: give rows and columns as NY,NX, for example 128,160") from error
    return rows, columns


def one_of(option: str, value: Any, choices: Sequence[Any]) -> Any:
    """The value, if it is among the choices."""
    if value not in choices:
        *others, last = map(str, choices)
        raise ValueError(f"{option} {value}: use {', '.join(others)} or {last}")
    return value
