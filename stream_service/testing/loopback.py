"""A private EPICS network on loopback: free ports for every server, and the environment that finds only them.

The demo and the tests use it, so that they never meet a real beamline's PVs, and two of them can run at once.
The variables must be set before `epics`, `p4p` or `caproto` are imported: give the result to child processes.
"""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"


SERVER_PORTS = range(10_000, 32_768)
"""Below those that the systems give to clients: none shall have a port when its server is started, or started again."""


def free_port() -> int:
    """A port that is free on loopback for TCP and for UDP, and that nobody else gets here while this process lives."""
    while True:
        port = random.choice(SERVER_PORTS)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind((LOOPBACK, port))
                udp.bind((LOOPBACK, port))
                _reserve(port)
            except OSError:
                continue
            return port


def _reserve(port: int) -> None:
    """Keep others who ask here from taking it; raises `OSError` if one has."""
    if sys.platform == "linux":  # only there a name without a file goes with its process
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as name:
            name.bind(f"\0ptychostream port {port}".encode())
            name.detach()


@dataclass(frozen=True, slots=True)
class LoopbackEpics:
    """Ports of the CA and PVA servers of one private network, by server name."""

    ca_ports: dict[str, int]
    pva_ports: dict[str, int]
    repeater_port: int

    @classmethod
    def reserve(cls, servers: Sequence[str]) -> LoopbackEpics:
        """Pick free ports for each named server (say `ioc` and `service`); each serves CA and PVA."""
        ports: set[int] = set()
        while len(ports) < 2 * len(servers) + 1:
            ports.add(free_port())
        numbers = list(ports)
        n = len(servers)
        return cls(
            dict(zip(servers, numbers[:n], strict=True)),
            dict(zip(servers, numbers[n : 2 * n], strict=True)),
            numbers[-1],
        )

    def client_environment(self) -> dict[str, str]:
        """Variables for a process that only talks to these servers."""
        return {
            "EPICS_CA_ADDR_LIST": " ".join(f"{LOOPBACK}:{port}" for port in self.ca_ports.values()),
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_REPEATER_PORT": str(self.repeater_port),
            "EPICS_CA_AUTO_ARRAY_BYTES": "YES",
            "EPICS_CA_MAX_ARRAY_BYTES": "16777216",
            "EPICS_PVA_ADDR_LIST": LOOPBACK,
            "EPICS_PVA_AUTO_ADDR_LIST": "NO",
            "EPICS_PVA_NAME_SERVERS": " ".join(f"{LOOPBACK}:{port}" for port in self.pva_ports.values()),
        }

    def server_environment(self, server: str) -> dict[str, str]:
        """Variables for the process that runs `server`; it can be a client of the others, too."""
        return self.client_environment() | {
            "EPICS_CAS_SERVER_PORT": str(self.ca_ports[server]),
            "EPICS_CA_SERVER_PORT": str(self.ca_ports[server]),
            "EPICS_CAS_INTF_ADDR_LIST": LOOPBACK,
            "EPICS_CAS_BEACON_ADDR_LIST": LOOPBACK,
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
            "EPICS_PVAS_INTF_ADDR_LIST": LOOPBACK,
            "EPICS_PVAS_SERVER_PORT": str(self.pva_ports[server]),
            "EPICS_PVAS_BROADCAST_PORT": str(self.pva_ports[server]),
            "EPICS_PVAS_BEACON_ADDR_LIST": LOOPBACK,
            "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
        }


def process_environment(extra: dict[str, str]) -> dict[str, str]:
    """This process's environment without its EPICS variables, with `extra` added."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EPICS_")}
    return kept | extra
