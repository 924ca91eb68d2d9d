"""Ports of a private EPICS network: nobody else has them when a server is started, or started again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stream_service.testing import loopback
from stream_service.testing.loopback import SERVER_PORTS, LoopbackEpics, free_port


def test_ports_are_none_that_a_system_gives_to_clients():
    network = LoopbackEpics.reserve(["ioc", "service"])
    ports = {*network.ca_ports.values(), *network.pva_ports.values(), network.repeater_port}
    assert len(ports) == 5 and ports < set(SERVER_PORTS)


@pytest.mark.skipif(sys.platform != "linux", reason="only there a name without a file goes with its process")
def test_port_that_a_living_process_was_given_is_given_to_no_other(monkeypatch: pytest.MonkeyPatch):
    code = "import sys; from stream_service.testing.loopback import free_port; print(free_port(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        theirs = int(other.stdout.readline())
        asked = iter((theirs, theirs, free_port()))
        monkeypatch.setattr(loopback.random, "choice", lambda _: next(asked))
        with pytest.raises(StopIteration):  # ours is taken, too
            free_port()
        other.stdin.write("\n")
    monkeypatch.setattr(loopback.random, "choice", lambda _: theirs)
    assert free_port() == theirs
