"""Path of the report of a run: beside its standard file, under a name that follows from it."""

from __future__ import annotations

from pathlib import Path

REPORT_END = "_report.html"


def report_path(file: Path) -> Path:
    """Of a standard file: `scan7_std.h5` has `scan7_report.html` beside it."""
    return file.with_name(file.stem.removesuffix("_std") + REPORT_END)
