"""A table of an EPICS log (CSV) as columns in SI units: one row for each frame.

What is understood: commas, semicolons, tabs or blanks between columns; decimal commas where columns are separated
otherwise; quoted fields; a byte-order mark; lines that begin with `#`. The first other line names the columns; if all
its cells are numbers, the comment above it does. Times may be dates (ISO 8601). A cell that is no finite number makes
its value unknown (NaN) and is reported by line and column; but a row's identity (frame_index, unique_id, timestamp)
must be whole, or the table is refused.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_NS
from stream_service.errors import SourceError
from stream_service.sources.recording import MOST_FRAMES
from stream_service.sources.tables.epics_columns import (
    IDENTITIES,
    NEEDED,
    SI_NAMES,
    TIMESTAMP,
    EpicsColumn,
    NoColumnError,
    find_columns,
)
from stream_service.sources.tables.log_time import iso_time_ns
from stream_service.sources.tables.sidecar_matching import MOST_KEY
from stream_service.text.counted import counted
from stream_service.text.utf8 import decoded

DELIMITERS = "\t;,"
"""The first that is in the header: names of columns may hold commas. Blanks, if none is."""
BLANKS = ""
WORD = re.compile(r"\S+(?:\s+[\[(][^\])]*[\])])?")
"""A name between blanks, with its unit in brackets."""
QUOTED = re.compile(r'"[^"]*"')
LONGEST_LINE = 1 << 16
"""Characters."""
LONGEST_CELL = 40
"""Characters of a number; longer cells are not numbers."""
MOST_PROBLEMS = 20
"""Bad cells that are reported one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class EpicsTable:
    """The rows of a log, in the order of its lines."""

    path: Path
    n_rows: int
    names: tuple[str, ...]
    """Of all its columns, as it calls them."""
    columns: Mapping[str, npt.NDArray[np.float64]]
    """By SI name (`posx_m`, `energy_eV`, ...), as far as they are there; (n,) each, NaN where a cell is bad."""
    is_blank: Mapping[str, npt.NDArray[np.bool_]]
    """By SI name likewise; (n,) each, True where a cell is empty: nothing was logged, which is not a bad value."""
    identities: Mapping[str, npt.NDArray[np.int64]]
    """frame_index, unique_id and timestamp (ns of the Unix epoch), as far as they are there; (n,) each."""
    sources: tuple[str, ...]
    """What each column was made of that has another name or unit, in words."""
    renamed: tuple[str, ...]
    """Those of `sources` whose column has another name, not only another unit."""
    problems: tuple[str, ...]
    """Bad cells in sentences."""
    notes: tuple[str, ...] = ()
    """What was assumed of the table, in sentences."""


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
    delimiter = _delimiter(header)
    names = _names(header, delimiter, path, number)
    if all(math.isfinite(_float(name)) for name in names) and (above := _last_comment(path, number)):
        lines = itertools.chain([(number, header)], lines)  # it was a row: numpy writes names as a comment
        names = _names(above, _delimiter(above), path, number - 1)
    first = next(lines, None)
    cells = _cells(path, *first, delimiter) if first is not None else []
    try:
        columns = find_columns(path, names, aliases or {}, units or {}, [cell.strip() for cell in cells])
    except NoColumnError as error:
        if first is not None and delimiter and len(cells) == 1 and len(first[1].split()) > 1:
            raise SourceError(
                f"{path}: line {number} ({header[:LONGEST_CELL]!r}) has {delimiter!r} "
                f"between its columns, line {first[0]} ({first[1][:LONGEST_CELL]!r}) blanks: leave out the lines above "
                "the names of the columns, or separate all lines by commas, semicolons, tabs or blanks alike"
            ) from error
        raise
    rows = lines if first is None else itertools.chain([first], lines)
    return _Reader(path, names, columns, delimiter).read(rows)


class _Reader:
    """One pass over the rows."""

    def __init__(self, path: Path, names: list[str], columns: list[EpicsColumn], delimiter: str) -> None:
        self._path = path
        self._names, self._width = tuple(names), len(names)
        self._measured = [(column, array("d"), bytearray()) for column in columns if column.quantity in SI_NAMES]
        self._counted = [(column, array("q")) for column in columns if column.quantity in IDENTITIES]
        self._delimiter = delimiter
        self._n_rows = 0
        self._problems: list[str] = []
        self._n_problems = 0
        self._n_commas = self._n_without_zone = 0

    def read(self, lines: Iterator[tuple[int, str]]) -> EpicsTable:
        for number, line in lines:
            cells = _cells(self._path, number, line, self._delimiter)
            if any(cell.strip() for cell in cells[self._width :]):
                hint = " (a decimal comma? then separate columns by semicolons)" if self._delimiter == "," else ""
                raise SourceError(
                    f"{self._path}, line {number}: {counted(len(cells), 'value')} for "
                    f"{counted(self._width, 'column')}{hint}"
                )
            if self._n_rows == MOST_FRAMES:
                raise SourceError(f"{self._path} has more than {MOST_FRAMES} rows: it is not the log of one scan")
            self._n_rows += 1
            cells += [""] * (self._width - len(cells))
            if self._delimiter != ",":
                cells = [self._with_point(cell) for cell in cells]
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

    def _with_point(self, cell: str) -> str:
        """A number with a decimal comma as Python reads it; any other cell as it is."""
        if cell.count(",") != 1 or "." in cell or math.isnan(_float(point := cell.strip().replace(",", "."))):
            return cell
        self._n_commas += 1
        return point

    def _whole(self, column: EpicsColumn, cell: str, line: int) -> int:
        if column.quantity == TIMESTAMP and (date := iso_time_ns(cell)) is not None and 0 <= date[0] < MOST_NS:
            self._n_without_zone += not date[1]
            return date[0]
        if column.quantity == TIMESTAMP and not column.unit:
            raise SourceError(
                f"{self._where(line)}: {column.name} is {_shown(cell)}, a date such as 2026-11-28T12:00:00.5Z is needed"
            )
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
        columns = [column for column, *_ in (*self._measured, *self._counted)]
        return EpicsTable(
            path=self._path,
            n_rows=self._n_rows,
            names=self._names,
            columns={SI_NAMES[quantity]: values for quantity, values in measured.items()},
            is_blank={
                SI_NAMES[column.quantity]: np.frombuffer(is_blank, np.bool_) for column, _, is_blank in self._measured
            },
            identities={column.quantity: np.frombuffer(values, np.int64) for column, values in self._counted},
            sources=tuple(column.in_words for column in columns if column.in_words),
            renamed=tuple(column.in_words for column in columns if column.is_named_otherwise),
            problems=tuple(self._problems),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        if self._n_commas:
            yield f"{self._path}: commas in numbers are decimal commas"
        if self._n_without_zone:
            yield (
                f"{self._path}: {self._n_without_zone} times have no time zone, and are taken as UTC; if they are of "
                "another, write it behind them (+02:00), or give ingest --readbacks-offset-s"
            )

    def _where(self, line: int) -> str:
        return f"{self._path}, line {line}"


def _lines(path: Path, *, comments: bool = False) -> Iterator[tuple[int, str]]:
    """Numbered lines, without empty ones and comments; with `comments` those alone."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise SourceError(f"{path}, line {number} has over {LONGEST_LINE} characters: it is not a table")
                if "\0" in line:
                    raise SourceError(f"{path} is not text in UTF-8 (line {number}): save the table as CSV UTF-8")
                line = line.removesuffix("\n") if line.isascii() else decoded(line.removesuffix("\n"))
                if line.strip(DELIMITERS + " ") and line.lstrip().startswith("#") == comments:
                    yield number, line
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _last_comment(path: Path, before: int) -> str:
    """The last line that begins with `#` above a line, without that sign; empty if there is none."""
    above = ""
    for number, line in _lines(path, comments=True):
        if number > before:
            break
        above = line
    return above.lstrip("# \t")


def _delimiter(header: str) -> str:
    """The first that is in the header, not in a quoted name; blanks if none is."""
    unquoted = QUOTED.sub("", header)
    return next((one for one in DELIMITERS if one in unquoted), BLANKS)


def _names(header: str, delimiter: str, path: Path, number: int) -> list[str]:
    if delimiter == BLANKS:
        return WORD.findall(header)
    return [name.strip() for name in _cells(path, number, header, delimiter)]


def _cells(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    if delimiter == BLANKS:
        return line.split()
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
