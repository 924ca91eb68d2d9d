"""The TIFF files of a scan: from a glob pattern to files in the order of their numbers, and the numbers that lack.

The number of a file is the last group of digits in which the names differ: 37 in `scan001_0037.tif`. So
`scan_2.tif` comes before `scan_10.tif`. Names that differ in more than digits are not one scan, and are refused.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.sources.recording import MOST_FRAMES

MOST_NAMES = 5
"""Files that a message names; the others are counted."""
LONGEST_NUMBER = 18
"""Digits that fit into 64 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffFiles:
    """Files in the order of their numbers."""

    pattern: str
    paths: tuple[Path, ...]
    numbers: npt.NDArray[np.int64]
    """(n,) of the files, strictly increasing."""
    name_before: str
    name_after: str
    """The file of a number has the name `name_before`, number, `name_after`."""
    n_digits: int
    """Numbers in names have at least so many digits."""

    def name_of(self, number: int) -> str:
        """The name that the file of a number has, or should have."""
        return f"{self.name_before}{number:0{self.n_digits}d}{self.name_after}"

    @property
    def n_missing(self) -> int:
        """Numbers between the first and the last one without a file."""
        return int(self.numbers[-1] - self.numbers[0]) + 1 - len(self.numbers)

    @property
    def missing(self) -> str:
        """The missing files in words, such as `scan_0037.tif is missing`; empty if there are none."""
        if not self.n_missing:
            return ""
        names: list[str] = []
        for before in np.flatnonzero(np.diff(self.numbers) > 1)[:MOST_NAMES].tolist():
            first, last = int(self.numbers[before]) + 1, int(self.numbers[before + 1]) - 1
            names += [self.name_of(number) for number in range(first, min(last, first + MOST_NAMES) + 1)]
        return f"{listing(names, self.n_missing)} {'is' if self.n_missing == 1 else 'are'} missing"


def find_tiff_files(pattern: str) -> TiffFiles:
    """The files that match a glob pattern. Raises `SourceError` naming those that do not go together."""
    found = [pattern] if os.path.isfile(pattern) else glob.glob(pattern)
    if not found:
        raise SourceError(f"No files match {pattern!r}: check the folder, and shell quoting (the pattern is one word)")
    if len(found) > MOST_FRAMES:
        raise SourceError(f"{pattern!r} matches {len(found)} files, more than the {MOST_FRAMES} of the largest scan")
    paths = [Path(name) for name in found]
    parts = [re.split("([0-9]+)", path.name) for path in paths]  # text, digits, text, ...
    texts = parts[0][::2]
    for path, own in zip(paths, parts, strict=True):
        if own[::2] != texts:
            raise SourceError(
                f"{path.name} and {paths[0].name} differ in more than their number, so they are not files of one scan: "
                f"narrow the pattern {pattern!r}"
            )
    group = _group_of_number(parts)
    digits = [own[group] if group else "0" for own in parts]
    if longest := max((text for text in digits if len(text) > LONGEST_NUMBER), default=""):
        raise SourceError(f"{longest} in the names that {pattern!r} matches is too long for a file's number")
    numbers = np.array([int(text) for text in digits], np.int64)
    order = np.argsort(numbers, kind="stable")
    _check_distinct(paths, numbers, order)
    return TiffFiles(
        pattern=pattern,
        paths=tuple(paths[index] for index in order.tolist()),
        numbers=numbers[order],
        name_before="".join(parts[0][:group]),
        name_after="".join(parts[0][group + 1 :]),
        n_digits=min(len(text) for text in digits),
    )


def listing(names: list[str], n_all: int) -> str:
    """Some names out of `n_all`, the rest counted: `a, b and 3 more`."""
    shown = names[:MOST_NAMES]
    if n_all > len(shown):
        return f"{', '.join(shown)} and {n_all - len(shown)} more"
    return ", ".join(shown[:-1]) + f" and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _group_of_number(parts: list[list[str]]) -> int:
    """Index of the last group of digits in which names differ; of a single name, its last one; 0 if it has none."""
    last = len(parts[0]) - 2
    for group in range(last, 0, -2):
        if any(own[group] != parts[0][group] for own in parts):
            return group
    return max(last, 0)


def _check_distinct(paths: list[Path], numbers: npt.NDArray[np.int64], order: npt.NDArray[np.intp]) -> None:
    same = np.flatnonzero(np.diff(numbers[order]) == 0)
    if len(same):
        one, other = (paths[index] for index in order[same[0] : same[0] + 2].tolist())
        raise SourceError(
            f"{one} and {other} have the same number {numbers[order[same[0]]]}: which frame is which cannot be told; "
            "narrow the pattern to one scan"
        )
