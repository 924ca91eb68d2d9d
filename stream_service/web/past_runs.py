"""The runs whose files lie below the data root: the newest ones, each with how it ended and where its report is."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream_service.errors import SourceError
from stream_service.hdf5.failures import HDF5_ERRORS
from stream_service.hdf5.opening import open_hdf5
from stream_service.run_report.report_path import report_path
from stream_service.standard_file.read.stored_end import StoredEnd
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at, number_in, text_in
from stream_service.text.local_time import local_time
from stream_service.text.printable import printable
from stream_service.web.stored_row import n_rows_in

FILE_END = "_std.h5"
MOST_RUNS = 50
LONGEST_WALK_S = 5.0
"""Through the folders: a data root of years is not looked through to its end."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run as its file tells of it."""

    scan_id: str
    file: str
    """Below the data root."""
    state: str
    why: str
    n_rows: int
    began: str
    lasted_s: float | None
    report: str
    """Below the data root; empty without one."""


class PastRuns:
    """Looks at them, and again only at files that have changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], PastRun]] = {}

    def below(self, root: Path) -> dict[str, Any]:
        """The newest runs, the latest first, as JSON has them. Raises `SourceError` if the root cannot be read."""
        if not root.is_dir():
            raise SourceError(f"the data root {root} cannot be read from here")
        found, is_whole = _files_below(root)
        known = {}
        for stat, path in found:
            key = stat.st_mtime_ns, stat.st_size
            kept = self._known.get(path)
            known[path] = kept if kept is not None and kept[0] == key else (key, _read(path, root))
        self._known = known
        runs = [asdict(run) | {"report": _report_of(root, run.file)} for _, run in known.values()]
        return {"runs": runs, "is_whole": is_whole}


def _files_below(root: Path) -> tuple[list[tuple[os.stat_result, Path]], bool]:
    """The newest files, the latest first; and whether all folders were looked at."""
    deadline_s = time.monotonic() + LONGEST_WALK_S
    found: list[tuple[os.stat_result, Path]] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), reverse=True)
        for name in names:
            if name.endswith(FILE_END):
                path = Path(folder, name)
                try:
                    found.append((path.stat(), path))
                except OSError:  # it has gone since
                    continue
            if time.monotonic() > deadline_s:
                return _newest(found), False
    return _newest(found), True


def _newest(found: list[tuple[os.stat_result, Path]]) -> list[tuple[os.stat_result, Path]]:
    return sorted(found, key=lambda one: one[0].st_mtime_ns, reverse=True)[:MOST_RUNS]


def _report_of(root: Path, file: str) -> str:
    report = report_path(Path(file))
    return str(report) if (root / report).is_file() else ""


def _read(path: Path, root: Path) -> PastRun:
    name = printable(str(path.relative_to(root)))  # one that is no UTF-8 could not be sent to a viewer
    scan_id = printable(path.name.removesuffix(FILE_END))
    try:
        with open_hdf5(path).file as file:
            end = StoredEnd.of(file)
            began_ns, ended_ns = (
                int(number_in(dataset_at(file, place)) or 0) for place in (paths.START_TIMESTAMP, paths.END_TIMESTAMP)
            )
            return PastRun(
                scan_id=text_in(dataset_at(file, paths.SCAN_ID)) or scan_id,
                file=name,
                state=end.state,
                why=end.why,
                n_rows=n_rows_in(file),
                began=local_time(began_ns),
                lasted_s=(ended_ns - began_ns) / 1e9 if ended_ns and began_ns else None,
                report="",
            )
    except (SourceError, *HDF5_ERRORS) as error:
        return PastRun(scan_id, name, "", f"it cannot be read: {printable(str(error))}", 0, "", None, "")
