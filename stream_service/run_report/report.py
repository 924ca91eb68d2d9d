"""The report of a run: one HTML file beside its standard file, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from stream_service.errors import OutputPathError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.output_file import check_folder, check_is_no_input
from stream_service.quality_report.lists import text_output
from stream_service.run_report.headline import headline
from stream_service.run_report.page import MARK, page_of
from stream_service.run_report.stored_run import open_run

HEAD_BYTES = 4096
"""In which the mark of a report stands."""


def write_report(
    file: Path, output: Path, also: AlsoBelow = NOWHERE_ELSE, step: Callable[[int], None] = lambda _: None
) -> str:
    """Write the report of a standard file; its headline, in words. An earlier report of that name is replaced.

    Raises `SourceError` for a file that cannot be read or is no standard file, `OutputPathError`, `WriteError`.
    """
    check_replaceable(output, (file,))
    with open_run(file, also) as run:
        page, said = page_of(run, step), headline(run)
    with text_output(output) as writing:
        writing.write(page)
    return f"{said.title}. {said.grade_words}."


def check_replaceable(output: Path, inputs: tuple[Path, ...]) -> None:
    """Raise `OutputPathError` where something that is no report of ours would be lost."""
    check_is_no_input(output, inputs)
    if os.path.isdir(output):
        raise OutputPathError(f"{output} is a folder: choose another --output")
    check_folder(output)
    if os.path.lexists(output) and not _is_report(output):
        raise OutputPathError(f"{output} exists already, and is no report of a run: choose another --output")


def _is_report(path: Path) -> bool:
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            return MARK in file.read(HEAD_BYTES)
    except OSError:
        return False
