"""A text read from a file that is one: a pipe, or a device without an end, would hold up a command for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 16 << 20
"""No profile, layout or list of positions is as long."""


def text_of(path: Path) -> str:
    """Its text, UTF-8, line ends as they are. Raises `OSError`, whose `strerror` says what is wrong, and
    `UnicodeDecodeError`.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe would wait for who writes to it
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "It is a pipe or a device, not a file", str(path))
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"It is longer than {MOST_BYTES >> 20} MiB", str(path))
    return content.decode("utf-8")
