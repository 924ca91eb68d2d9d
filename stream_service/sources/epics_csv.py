"""A table of an EPICS log (CSV) as columns in SI units: one row for each frame.

What is understood: commas, semicolons or tabs; quoted fields; a byte-order mark; lines that begin with `#`. The first
other line names the columns. A cell that is no finite number makes its value unknown (NaN) and is reported by line and
column; but a row's identity (frame_index, unique_id, timestamp) must be whole, or the table is refused.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.sources.epics_columns import (
    IDENTITIES,
    NEEDED,
    SI_NAMES,
    TIMESTAMP,
    EpicsColumn,
    find_columns,
)
from stream_service.sources.hdf5_columns import MOST_NS
from stream_service.sources.recording import MOST_FRAMES
from stream_service.sources.sidecar_matching import MOST_KEY

DELIMITERS = ",;\t"
LONGEST_LINE = 1 << 16
"""Characters."""
LONGEST_CELL = 40
"""Characters of a number; longer cells are no numbers."""
MOST_PROBLEMS = 20
"""Bad cells that are reported one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class EpicsTable:
    """The rows of a log, in the order of its lines."""

    path: Path
    n_rows: int
    columns: Mapping[str, npt.NDArray[np.float64]]
    """By SI name (`posx_m`, `energy_eV`, ...), as far as they are there; (n,) each, NaN where a cell is bad."""
    is_blank: Mapping[str, npt.NDArray[np.bool_]]
    """By SI name likewise; (n,) each, True where a cell is empty: nothing was logged, which is not a bad value."""
    identities: Mapping[str, npt.NDArray[np.int64]]
    """frame_index, unique_id and timestamp (ns of the Unix epoch), as far as they are there; (n,) each."""
    sources: tuple[str, ...]
    """What each column was made of that has another name or unit, in words."""
    problems: tuple[str, ...]
    """Bad cells in sentences."""


def read_epics_csv(
    path: Path, aliases: Mapping[str, str] | None = None, units: Mapping[str, str] | None = None
) -> EpicsTable:
    """Read a log. `aliases` name the column of a quantity, `units` the unit of one (see `find_columns`).

    Raises `SourceError` naming line and column, `ConfigError` if an alias or unit cannot be.
    """
    lines = _lines(path)
    number, header = next(lines, (0, ""))
    if not header:
        raise SourceError(f"{path} is empty: a line with the names of its columns is needed")
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.strip() for name in _cells(path, number, header, delimiter)]
    return _Reader(path, len(names), find_columns(path, names, aliases or {}, units or {}), delimiter).read(lines)


class _Reader:
    """One pass over the rows."""

    def __init__(self, path: Path, width: int, columns: list[EpicsColumn], delimiter: str) -> None:
        self._path = path
        self._width = width
        self._measured = [(column, array("d"), bytearray()) for column in columns if column.quantity in SI_NAMES]
        self._counted = [(column, array("q")) for column in columns if column.quantity in IDENTITIES]
        self._delimiter = delimiter
        self._n_rows = 0
        self._problems: list[str] = []
        self._n_problems = 0

    def read(self, lines: Iterator[tuple[int, str]]) -> EpicsTable:
        for number, line in lines:
            cells = _cells(self._path, number, line, self._delimiter)
            if any(cell.strip() for cell in cells[self._width :]):
                hint = " (a decimal comma?)" if self._delimiter == "," else ""
                raise SourceError(f"{self._path}, line {number}: {len(cells)} values for {self._width} columns{hint}")
            if self._n_rows == MOST_FRAMES:
                raise SourceError(f"{self._path} has more than {MOST_FRAMES} rows: it is not the log of one scan")
            self._n_rows += 1
            cells += [""] * (self._width - len(cells))
            for column, values, is_blank in self._measured:
                cell = cells[column.place].strip()
                values.append(self._number(column, cell, number))
                is_blank.append(not cell)
            for column, values in self._counted:
                values.append(self._whole(column, cells[column.place].strip(), number))
        return self._table()

    def _number(self, column: EpicsColumn, cell: str, line: int) -> float:
        value = _float(cell) * column.factor
        if not math.isfinite(value):
            self._n_problems += 1
            if len(self._problems) < MOST_PROBLEMS:
                self._problems.append(f"{self._where(line)}: {column.name} is {_shown(cell)}, a number is needed")
            return math.nan
        return value

    def _whole(self, column: EpicsColumn, cell: str, line: int) -> int:
        try:
            value = Decimal(cell if len(cell) <= LONGEST_CELL and "_" not in cell else "") * int(column.factor)
            if 0 <= value < (MOST_NS if column.quantity == TIMESTAMP else MOST_KEY):
                whole = int(value)
                if whole == value or column.unit == "s":
                    return whole
        except ArithmeticError:  # not a number, or one beyond all bounds
            pass
        needed = f"a time in {column.unit} since 1970" if column.quantity == TIMESTAMP else "a whole number"
        raise SourceError(f"{self._where(line)}: {column.name} is {_shown(cell)}, {needed} is needed")

    def _table(self) -> EpicsTable:
        if not self._n_rows:
            raise SourceError(f"{self._path} has no rows below the names of its columns")
        measured = {column.quantity: np.frombuffer(values, np.float64) for column, values, _ in self._measured}
        for quantity in NEEDED:
            if np.isnan(measured[quantity]).all():
                raise SourceError(f"{self._path} has no row with a number for {quantity}; {self._problems[0]}")
        if self._n_problems > len(self._problems):
            self._problems.append(f"{self._path}: and {self._n_problems - len(self._problems)} more such values")
        return EpicsTable(
            path=self._path,
            n_rows=self._n_rows,
            columns={SI_NAMES[quantity]: values for quantity, values in measured.items()},
            is_blank={
                SI_NAMES[column.quantity]: np.frombuffer(is_blank, np.bool_) for column, _, is_blank in self._measured
            },
            identities={column.quantity: np.frombuffer(values, np.int64) for column, values in self._counted},
            sources=tuple(filter(None, (column.in_words for column, *_ in (*self._measured, *self._counted)))),
            problems=tuple(self._problems),
        )

    def _where(self, line: int) -> str:
        return f"{self._path}, line {line}"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines, without empty ones and comments."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise SourceError(f"{path}, line {number} has over {LONGEST_LINE} characters: it is not a table")
                line = line.removesuffix("\n")
                if line.strip(DELIMITERS + " ") and not line.lstrip().startswith("#"):
                    yield number, line
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not text in UTF-8 ({error.reason}): save the table as CSV UTF-8") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _cells(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise SourceError(f"{path}, line {number} is not CSV: {error}") from error


def _float(cell: str) -> float:
    if len(cell) > LONGEST_CELL or "_" in cell:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _shown(cell: str) -> str:
    return repr(cell[:LONGEST_CELL])
