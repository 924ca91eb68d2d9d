"""Dark, flat and mask as a beamline keeps them: `.npy`, `.npz` or a dataset in an HDF5 file (`FILE:/dataset`).

They come from anywhere, and in a live run they are read between two scans. So a process of its own reads them
(`reference_reader`), with limits on time and memory: the worst that a file can do is to be refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.errors import ConfigError, InputFileError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.processes.limited import LimitedProcessError, run_limited

READER = "stream_service.sources.tables.reference_reader"
TIMEOUT_S = 20.0
"""For all references of a run: less than a plan waits for the service to be armed (30 s)."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One reference in raw detector axes."""

    image: npt.NDArray[Any]
    """(y, x)"""
    exposure_s: float = math.nan
    """With which it says that it was taken (`exposure_s`, an HDF5 attribute of the file); NaN if it does not."""


def reference_path(location: str) -> Path:
    """The file of a location such as `FILE.h5:/dataset`."""
    return Path(location.partition(":/")[0])


def check_place(location: str, kind: str, folders: Iterable[Path]) -> None:
    """Raise `ConfigError` for a file that is not below one of the folders, wherever links lead."""
    path = reference_path(location)
    real = Path(os.path.realpath(path))
    folders = list(folders)
    if not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
        below = " or ".join(map(str, folders))
        raise ConfigError(
            f"the {kind} {path} is {real}, which is not below {below}: a request may name files below the data root "
            "and below service.reference_roots of the profile only"
        )


def read_references(
    locations: Mapping[str, str],
    also: AlsoBelow = NOWHERE_ELSE,
    cancellation: Cancellation | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> dict[str, Reference]:
    """References by kind (dark, flat, mask), which is also the default name inside a file of several.

    A stack of frames (n, y, x) gives its median. `also` names folders below which a file may lead, beside its own.
    `meanwhile` is called while they are being read.
    Raises `InputFileError` naming the file and what it lacks, and `CancelledError`.
    """
    if not locations:
        return {}
    wanted = [
        {"kind": kind, "path": str(reference_path(location)), "dataset": location.partition(":/")[2]}
        for kind, location in locations.items()
    ]
    question = {"wanted": wanted, "folders": [str(folder) for folder in also.folders], "option": also.option}
    failure = ""
    try:
        said = run_limited(READER, [json.dumps(question)], TIMEOUT_S, cancellation, meanwhile)
    except LimitedProcessError as error:
        said, failure = error.output, str(error)
    found: dict[str, Reference] = {}
    for kind, location in locations.items():
        answer, said = _answer(said)
        if answer is None:
            raise InputFileError(
                f"cannot read the {kind} {reference_path(location)}: {failure or 'it ended too early'}"
            )
        found[kind] = answer
    return found


def _answer(said: bytes) -> tuple[Reference | None, bytes]:
    """The next reference in what the reader has said, and the rest; None if it is not whole."""
    line, end, rest = said.partition(b"\n")
    if not end:
        return None, b""
    facts = json.loads(line)
    if "error" in facts:
        raise InputFileError(facts["error"])
    dtype, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
    n_bytes = math.prod(shape) * dtype.itemsize
    if len(rest) < n_bytes:
        return None, b""
    image = np.frombuffer(rest, dtype, math.prod(shape)).reshape(shape)
    return Reference(image, float(facts["exposure_s"])), rest[n_bytes:]
