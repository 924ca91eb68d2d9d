"""File descriptors of this process: how many may be open, and how many are left.

Every connection of a client is one. Those that a run opens (its file, its channels, a subprocess) come first, so the
servers keep `RESERVE` of them free.
"""

from __future__ import annotations

import errno
import os
import resource

RESERVE = 16
"""For a run: its file, the raw file, the trial of arming (a subprocess with its pipes), connections to IOCs."""
HIGHEST_LIMIT = 65_536
"""As high as the limit is raised; beyond it, whoever goes through all possible descriptors takes long."""


def raise_limit() -> int:
    """Raise the number of descriptors this process may open as far as it is allowed to, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HIGHEST_LIMIT if hard == resource.RLIM_INFINITY else min(hard, HIGHEST_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def n_left() -> int:
    """Number of descriptors that may still be opened."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return HIGHEST_LIMIT
    try:
        return soft - len(os.listdir("/dev/fd")) + 1  # the listing itself takes one
    except OSError as error:
        if error.errno == errno.EMFILE:
            return 0
        raise
