"""The names that the service is about to serve: no other server may have one of them.

Two servers of one name answer every client that asks, and each client talks to the one that was faster: some would arm
the one daemon, and watch the other. A predecessor that was killed serves nothing, and is in nobody's way.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV, ca
from stream_service.errors import ConfigError
from stream_service.pv_access import Context
from stream_service.settings.status_table import ServicePV

SEARCH_S = 1.0
"""For another server to answer: within a second CA asks five times for a name, and PVA twice."""
LISTENED_ON = ("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT", "EPICS_CAS_INTF_ADDR_LIST")
"""Where a daemon on this host serves: one of another network is no rival."""


@contextlib.contextmanager
def only_daemon_of(prefix: str) -> Iterator[None]:
    """Be the one daemon with this prefix on this host, as long as the process lives; raises `ConfigError`.

    It also tells two apart that are started at the same moment, of which neither finds the other by a search.
    """
    if sys.platform != "linux":  # only there a name without a file goes with its process
        yield
        return
    where = " ".join(os.environ.get(name, "") for name in LISTENED_ON)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        try:
            lock.bind(f"\0ptychostream {prefix} {where}"[:100].encode())
        except OSError as error:
            raise ConfigError(
                f"another 'ptychostream run' with the prefix {prefix} runs on this host ({socket.gethostname()}): end "
                "it first, or give service.prefix of the profile another value"
            ) from error
        yield


@contextlib.contextmanager
def only_owner_of(folder: Path) -> Iterator[None]:
    """Be the one service that goes on with runs whose journals are in this folder; raises `ConfigError`.

    Two that are started at the same moment, on two hosts or ports, would both take them. Where the folder cannot be
    written, or its file system has no locks, nothing is promised.
    """
    with contextlib.ExitStack() as opened:
        try:
            folder.parent.mkdir(exist_ok=True)
            lock = opened.enter_context(folder.with_name(f"{folder.name}.lock").open("ab"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another 'ptychostream run' has the journals in {folder}: end it first, or give service.prefix of the "
                "profile another value"
            ) from error
        except OSError:  # what cannot be written is refused when a run is armed
            pass
        yield


def refuse_taken_names(prefix: str, ca_names: Iterable[str], pva_names: Iterable[str]) -> None:
    """Search for each name, all at once, for `SEARCH_S`; raises `ConfigError` if another server has one."""
    found: dict[str, str] = {}
    changed = threading.Event()

    def connected(pvname: str = "", conn: bool = False, **_: object) -> None:
        if conn:
            changed.set()

    def heard(name: str, value: object) -> None:
        if not isinstance(value, Exception):
            found[name] = "a PVA server"
            changed.set()

    # all that is asked for is whether somebody answers, so nothing is subscribed
    pvs = [PV(prefix + name, auto_monitor=False, connection_callback=connected) for name in ca_names]
    ca.flush_io()
    with Context("pva", nt=False) as pva:
        subscriptions = [
            pva.monitor(prefix + name, lambda value, name=name: heard(name, value), notify_disconnect=True)
            for name in pva_names
        ]
        changed.wait(SEARCH_S)
        if changed.is_set():
            time.sleep(0.1)  # for the others of the same server
        for subscription in subscriptions:
            subscription.close()
    found |= {pv.pvname.removeprefix(prefix): str(pv.host) for pv in pvs if pv.connected}
    for pv in pvs:
        let_go(pv)
    if (rival := found.get(ServicePV.HEARTBEAT)) is not None:
        raise ConfigError(
            f"another 'ptychostream run' with the prefix {prefix} serves at {rival}: end it first, or give "
            "service.prefix of the profile another value"
        )
    if found:
        name, server = next(iter(found.items()))
        raise ConfigError(
            f"{prefix}{name} is served already, by {server}: an IOC has PVs with the prefix {prefix}. Give "
            "service.prefix of the profile another value"
        )
