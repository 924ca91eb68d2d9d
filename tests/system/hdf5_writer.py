"""A second process that writes an HDF5 file step by step, as NDFileHDF5 does; it can be killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType

SHAPE = (6, 8)
START_NS = 1_763_683_200_123_456_789
PERIOD_NS = 10_000_001

CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
import h5py
import numpy as np
from hdf5_writer import nd_frame
from iocsim.detector.ndarray import NDAttribute, SourceType
from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.layout import DefaultLayout

path = Path(sys.argv[1])

def opened(**options):
    return NDFile(path, nd_frame(0), DefaultLayout(), FileOptions(**options))

def append(start, stop):
    for index in range(start, stop):
        file.append(nd_frame(index))

def at(index, place):
    frame = nd_frame(index)
    place = NDAttribute("place", place, "index of the image", SourceType.EPICS_PV, "SIM:Place")
    return replace(frame, attributes=(*frame.attributes, place))

def opened_by_index(**options):
    return NDFile(path, at(0, 0), DefaultLayout(), FileOptions(position_name="place", **options))

def append_at(start, *places):
    for index, place in enumerate(places, start):
        file.append(at(index, place))

print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


def pixels_of(index: int) -> np.ndarray:
    """The pixels of frame `index`: no two frames and no two pixels are alike."""
    return (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) + 100 * index).astype(np.uint16)


def nd_frame(index: int) -> NDArray:
    """Frame `index` as it leaves the simulated driver; uniqueIds begin with 1."""
    attributes = (
        NDAttribute("posx", 0.5 * index, "scan x, um", SourceType.EPICS_PV, "SIM:X"),
        NDAttribute("posy", -0.25 * index, "scan y, um", SourceType.EPICS_PV, "SIM:Y"),
        NDAttribute("energy", 700.0 + index, "photon energy, eV", SourceType.EPICS_PV, "SIM:E"),
        NDAttribute("AcquireTime", 0.02, "exposure time", SourceType.PARAM, "ACQ_TIME"),
        NDAttribute("ColorMode", 0, "Color mode", SourceType.DRIVER, "Driver"),
        NDAttribute("NotThere", None, "a PV that is not connected", SourceType.EPICS_PV, "NO:SUCH:PV"),
        NDAttribute("sample", "Siemens star", "sample", SourceType.EPICS_PV, "SIM:Sample"),
    )
    return NDArray(pixels_of(index), index + 1, START_NS + index * PERIOD_NS, attributes)


def attributes_of(index: int) -> dict[str, float | int | str | None]:
    """Attributes of a live frame of this index."""
    return {attribute.name: attribute.value for attribute in nd_frame(index).attributes}


class Writer:
    """The process. Each `do` runs one line of Python there, and returns when it has been run."""

    def __init__(self, path: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
            env={"PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(__file__).parent}", "PATH": ""},
        )
        self._answer("ready")

    def do(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        self._answer("done")

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def _answer(self, expected: str) -> None:
        assert self._child.stdout is not None
        assert self._child.stdout.readline().strip() == expected

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
