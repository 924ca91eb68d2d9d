"""A daemon that would serve names which others serve already: it refuses, and says who has them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from limits import HANG_S
from rig import Rig, Rigs, profile_for, start_rig

from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LoopbackEpics, process_environment

FOREIGN = """
import asyncio, sys
from caproto.asyncio.server import start_server
from caproto import ChannelInteger
async def ready(_):
    print("ready", flush=True)
asyncio.run(start_server({sys.argv[1]: ChannelInteger(value=1)}, startup_hook=ready))
"""
SEARCHES_LONG = """
import os, runpy, sys
from stream_service.text.log_lines import PVXS_LEVELS
os.environ["PVXS_LOG"] = PVXS_LEVELS  # before it is loaded, as the command does
from stream_service.service import own_names
own_names.SEARCH_S = float(sys.argv.pop(1))
runpy.run_module("stream_service.cli", run_name="__main__")
"""
"""A daemon that waits for the answer of another one that is held up."""
FOREIGN_PVA = """
import sys, time
from p4p.nt import NTScalar
from p4p.server import Server
from p4p.server.thread import SharedPV
with Server(providers=[{sys.argv[1]: SharedPV(nt=NTScalar("d"), initial=1.0)}]):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix)


def refusal(profile: Path, environment: dict[str, str]) -> str:
    """Refusal of a daemon that must not start."""
    command = [sys.executable, "-c", SEARCHES_LONG, str(HANG_S), "run", str(profile)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_second_daemon_on_a_host_refuses_and_the_first_goes_on(rig: Rig, epics: LoopbackEpics) -> None:
    said = refusal(rig.folder / "profile.yaml", process_environment(epics.server_environment("service")))
    assert f"another 'ptychostream run' with the prefix {rig.service.prefix} runs on this host" in said
    assert rig.arm("goes_on", n_positions=2) == ""
    rig.beamline.acquire(2)
    assert rig.wait_for_end() == "COMPLETE"


@pytest.mark.further
def test_daemon_of_another_host_is_found_by_its_heartbeat(rig: Rig, epics: LoopbackEpics) -> None:
    elsewhere = epics.server_environment("service") | {"EPICS_CAS_SERVER_PORT": str(epics.ca_ports["ioc"] + 1)}
    said = refusal(rig.folder / "profile.yaml", process_environment(elsewhere))
    port = epics.ca_ports["service"]
    assert f"another 'ptychostream run' with the prefix {rig.service.prefix} serves at localhost:{port}" in said


@pytest.mark.further
def test_killed_daemon_is_in_nobodys_way(rig: Rig, ioc: Any, epics: LoopbackEpics) -> None:
    rig.child.end(signal.SIGKILL)
    with closing(start_rig(ioc.prefix, epics, rig.folder)) as again:
        assert again.service.get("Health") == "READY"


@pytest.mark.further(but=1)
@pytest.mark.parametrize(("script", "name"), [(FOREIGN, "Rows"), (FOREIGN_PVA, "STXM")])
def test_one_name_of_an_ioc_is_enough_to_refuse(
    ioc: Any, rigs: Rigs, epics: LoopbackEpics, tmp_path: Path, script: str, name: str
) -> None:
    rigs.close()
    environment = process_environment(epics.server_environment("service"))
    prefix = f"{ioc.prefix}One:"
    with Subprocess("foreign", ["-c", script, prefix + name], environment, tmp_path / "foreign.log") as foreign:
        foreign.wait_for("ready", HANG_S)
        said = refusal(profile_for(ioc.prefix, prefix, tmp_path), environment)
    assert f"{prefix}{name} is served already, by " in said
    assert f"an IOC has PVs with the prefix {prefix}" in said
