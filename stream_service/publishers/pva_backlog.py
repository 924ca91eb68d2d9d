"""Clients of the PVA server that do not take what they asked to be kept for them.

A client says how many updates are kept for it, and pvxs has no bound of its own: for one that asks for 100,000 and then
stands still every image that is posted is kept. Nothing tells how much waits for whom. What can be seen: which
connections have bytes that are not taken, in the tables of Linux, and how many values there are in pvxs. (The server's
own description of its connections would tell more, and locks the process up: p4p holds the interpreter meanwhile.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from p4p import listRefs

TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
VALUES = "StructTop"
"""What pvxs calls a value, in its own counts."""
BEHIND_S = 10.0
"""A client on a slow network catches up in less."""
MOST_VALUES = 5000
"""More than before a client fell behind; for one that asks for the usual four of each PV there are 600 at the most."""
MOST_BYTES = 64 << 20
"""Of images that were posted meanwhile, where most of them are kept."""
VALUES_OF_AN_IMAGE = 3
"""At the least."""
FEWEST_VALUES = 200
"""Images that wait for a client of usual queues are fewer."""


class PvaBacklog:
    """What waits for clients who have fallen behind; looked at by the thread that posts."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}
        """Of the connections that are behind: since when, and how many values there were then."""
        self._n_images = self._n_bytes = 0
        """Posted since somebody fell behind."""

    def posted(self, n_bytes: int) -> None:
        """An image was posted."""
        if self._since:
            self._n_images, self._n_bytes = self._n_images + 1, self._n_bytes + n_bytes

    def is_too_much(self, port: int, now_s: float) -> bool:
        """True if more is kept for a client of a port of ours than should be."""
        n_values = listRefs().get(VALUES, 0)
        self._since = {peer: self._since.get(peer, (now_s, n_values)) for peer in _behind(port)}
        if not self._since:
            self._n_images = self._n_bytes = 0
            return False
        since_s, n_before = min(self._since.values())
        n_kept = n_values - n_before
        are_most_kept = n_kept >= max(FEWEST_VALUES, VALUES_OF_AN_IMAGE * self._n_images)
        are_images_kept = are_most_kept and self._n_bytes >= MOST_BYTES
        return now_s - since_s >= BEHIND_S and (n_kept >= MOST_VALUES or are_images_kept)


def _behind(port: int) -> Iterator[str]:
    """The other ends of connections to a port of this machine that have not taken all they were sent."""
    ours = f":{port:04X}"
    for table in TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:  # no Linux
            continue
        for line in lines:
            _, local, remote, _, queues, *_ = line.split()
            if local.endswith(ours) and int(queues.partition(":")[0], 16):
                yield remote
