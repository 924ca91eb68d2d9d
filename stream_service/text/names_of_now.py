"""Names of scans and files that nobody has named: the time, and never the same twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from itertools import count

_lock = threading.Lock()
_given: set[str] = set()
"""Names of this process: what they are for may not exist yet, or not where it could be seen from here."""


def name_of_now(kind: str, is_free: Callable[[str], bool] = lambda name: True) -> str:
    """`kind` and the local time, such as "auto_20261129_031829"; "..._2" and so on where that is no free name.

    Scans can begin within one second, and an hour of local time comes twice in autumn.
    """
    stamp = datetime.now().strftime(f"{kind}_%Y%m%d_%H%M%S")
    with _lock:
        names = (stamp if number == 1 else f"{stamp}_{number}" for number in count(1))
        name = next(name for name in names if name not in _given and is_free(name))
        _given.add(name)
    return name
