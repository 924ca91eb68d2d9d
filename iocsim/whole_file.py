"""A file that is whole or not there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file under a temporary name, which takes the name of `path` when the block ends well. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("x+b") as file:  # a link that waits under this name is not followed
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
