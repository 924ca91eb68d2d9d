"""Channels of Channel Access: subscribed to at once, and let go without harm."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest
from limits import HANG_S

from stream_service.channel_access.library import PV, ca, epics
from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LoopbackEpics, process_environment

SERVER = """
import threading
from stream_service.publishers.ca_server import CaServer
server = CaServer("ROOM:")
server.start()
print("ready", flush=True)
threading.Event().wait()
"""
CLIENT = f"""
import os, resource, time
from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV, may_lack_circuits

nobody = PV("NOBODY:HAS:THIS")  # with it libca opens what it needs to search
let_go(nobody)
assert not may_lack_circuits()
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
pv = PV("ROOM:State")
end_s = time.monotonic() + {HANG_S}
while not may_lack_circuits() and time.monotonic() < end_s:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
assert may_lack_circuits() and not pv.connected
let_go(pv)
again = PV("ROOM:State")
print("connected" if again.wait_for_connection({HANG_S}) else "not connected", flush=True)
"""


def test_a_subscription_is_sent_as_soon_as_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(epics.PV, "_check_auto_monitor", lambda self: done.append("subscribed"))
    monkeypatch.setattr(ca, "flush_io", lambda: done.append("sent"))
    pv = PV.__new__(PV)
    monkeypatch.setattr(pv, "_args", {"ftype": None}, raising=False)
    pv._check_auto_monitor()
    assert done == ["subscribed", "sent"]


GONE = f"""
import sys, time
from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV, ca

channel = ca.create_channel("ROOM:State")
assert ca.connect_channel(channel, timeout={HANG_S})
print("connected", flush=True)
sys.stdin.readline()  # its server is killed meanwhile, and another one has its PVs
end_s = time.monotonic() + {HANG_S}
while ca.isConnected(channel) and time.monotonic() < end_s:
    time.sleep(0.01)
ca.get_cache("ROOM:State").conn = True  # as it is until pyepics has heard of it
pv = PV("ROOM:State", auto_monitor=True)
print("connected" if pv.connected else "not connected", flush=True)
let_go(pv)  # or libca searches after ten seconds
again = PV("ROOM:State", auto_monitor=True)
print("connected" if again.wait_for_connection({HANG_S}) else "not connected", flush=True)
"""


def test_a_channel_that_is_gone_before_it_is_subscribed_to_has_not_connected_yet(tmp_path: Path) -> None:
    network = LoopbackEpics.reserve(["room", "again"])
    command = [sys.executable, "-c", GONE]
    client = process_environment(network.client_environment())
    with ExitStack() as ended:

        def serve(name: str) -> Subprocess:
            environment = process_environment(network.server_environment(name))
            server = ended.enter_context(Subprocess(name, ["-c", SERVER], environment, tmp_path / f"{name}.log"))
            server.wait_for("ready", HANG_S)
            return server

        room = serve("room")
        watcher = ended.enter_context(subprocess.Popen(command, env=client, stdin=PIPE, stdout=PIPE, text=True))
        assert watcher.stdin and watcher.stdout
        assert watcher.stdout.readline() == "connected\n"
        serve("again")
        room.process.kill()
        room.process.wait()
        watcher.stdin.write("\n")
        watcher.stdin.flush()
        assert watcher.stdout.readline() == "not connected\n"
        assert watcher.communicate(timeout=HANG_S)[0] == "connected\n"


AT_THE_END = """
import atexit
from stream_service.channel_access import library

def say():
    libcom.errlogPrintf(b"virtual circuit creation failed\\n")
    libcom.errlogFlush()
    print("heard" if library._lacks_circuit.is_set() else "not heard")

atexit.register(say)  # it is called after those that are registered later
pv = library.PV("NOBODY:HAS:THIS")
libcom = library.ca.libca
"""


def test_nothing_of_the_log_of_errors_calls_python_when_it_ends(tmp_path: Path) -> None:
    environment = process_environment(LoopbackEpics.reserve(["room"]).client_environment())
    done = subprocess.run([sys.executable, "-c", AT_THE_END], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "not heard\n"), done.stderr


def test_a_channel_that_found_no_descriptor_for_a_moment_is_let_go_and_connects_again(tmp_path: Path) -> None:
    network = LoopbackEpics.reserve(["room"])
    environment = process_environment(network.server_environment("room"))
    with Subprocess("server", ["-c", SERVER], environment, tmp_path / "server.log") as server:
        server.wait_for("ready", HANG_S)
        environment = process_environment(network.client_environment())
        done = subprocess.run([sys.executable, "-c", CLIENT], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "connected\n"), done.stderr
