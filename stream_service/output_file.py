"""Output files: created exclusively, given their name when they are whole, and never one of the inputs.

Until then a file has a hidden, unpredictable name beside its own, which whoever writes it creates exclusively (mode
"x"), so that a link which waits there is not followed. An old output stays as it was until the new one takes its name.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from stream_service.errors import OutputPathError, WriteError
from stream_service.processes.reading import removed_at_the_end

IN_HEX_BYTES = 4
"""Of a temporary name: what a killed process left behind is in nobody's way."""


def check_output(
    output: Path,
    *,
    force: bool,
    inputs: Iterable[Path] = (),
    option: str = "--output",
) -> None:
    """Refuse what cannot be written, or would be replaced unasked, before anything long is begun.

    One of the `inputs` is refused with `force`, too. Raises `OutputPathError`.
    """
    check_is_no_input(output, inputs, option)
    if os.path.lexists(output) and not force:
        raise OutputPathError(f"{output} exists already: choose another {option}, or replace it with --force")
    if os.path.isdir(output):
        raise OutputPathError(f"{output} is a folder: choose another {option}")
    check_folder(output, option)


def check_folder(output: Path, option: str = "--output") -> None:
    """Raise `OutputPathError` if the folder of an output is not there."""
    folder = output.absolute().parent
    if not os.path.isdir(folder):
        raise OutputPathError(f"the folder {folder} does not exist: make it, or choose another {option}")


def check_is_no_input(output: Path, inputs: Iterable[Path], option: str = "--output") -> None:
    """Raise `OutputPathError` if the output is one of the inputs, by whatever name: a link, a hard link, capitals."""
    for read in inputs:
        if is_same_file(output, read):
            known_as = "" if output == read else f" ({read})"
            raise OutputPathError(
                f"{option} {output} is one of the files that are read{known_as}, and would destroy it: choose another "
                f"{option}"
            )


def is_same_file(one: Path, other: Path) -> bool:
    """True if two paths lead to one file, or would once it is made."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


@contextmanager
def whole_file(output: Path, *, replace: bool = True) -> Iterator[Path]:
    """A temporary name, to be created exclusively, that becomes `output` when the block ends well; else it is removed.

    Without `replace` it raises `FileExistsError` where another file has taken the name in the meantime.
    """
    unfinished = temporary_name(output)
    try:
        yield unfinished
        give_name(unfinished, output, replace=replace)
    except WriteError as error:  # the hidden name says nothing to an operator
        raise WriteError(str(error).replace(str(unfinished), str(output))) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def temporary_name(output: Path) -> Path:
    """A hidden name beside `output` that nothing has."""
    return removed_at_the_end(output.with_name(f".{output.name}.{secrets.token_hex(IN_HEX_BYTES)}.partial"))


def give_name(unfinished: Path, output: Path, *, replace: bool) -> None:
    """Move a file to its name at once; without `replace` it fails if the name is taken."""
    if replace:
        unfinished.replace(output)
        return
    try:
        os.link(unfinished, output)  # makes the name and fails where there is one, at once
    except FileExistsError:
        raise
    except OSError:  # file systems without hard links
        if os.path.lexists(output):
            raise FileExistsError(17, "exists", str(output)) from None
        unfinished.rename(output)
    else:
        unfinished.unlink()


def open_new(path: Path) -> IO[bytes]:
    """Open a new, empty file under this name, for what is read while it grows: a log. What had the name is unlinked."""
    path.unlink(missing_ok=True)
    return path.open("xb")
