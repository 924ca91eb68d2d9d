"""Services of docker-compose.yml work without docker, too: each service's own command, on this machine's loopback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml
from limits import HANG_S

from stream_service.processes.subprocesses import Subprocess
from stream_service.standard_file import validate_file
from stream_service.testing.loopback import LoopbackEpics, process_environment

CHECKOUT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
MODULES = {"iocsim": ["-m", "iocsim"], "ptychostream": ["-m", "stream_service.cli"], "python": []}


def arguments_of(service: str, data: Path) -> list[str]:
    """The command of a service for this machine's Python: its folders, and the loopback instead of all interfaces."""
    program, *arguments = COMPOSE["services"][service]["command"]
    places = {"/src/": f"{CHECKOUT}/", "/data": str(data), "0.0.0.0": "127.0.0.1"}
    for there, here in places.items():
        arguments = [argument.replace(there, here) for argument in arguments]
    return [*MODULES[program], *arguments]


@pytest.fixture
def start(epics: LoopbackEpics, tmp_path: Path) -> Any:
    processes: list[Subprocess] = []

    def start_service(name: str, network: str) -> Subprocess:
        environment = process_environment(epics.server_environment(network))
        processes.append(Subprocess(name, arguments_of(name, tmp_path), environment, tmp_path / f"{name}.log"))
        processes[-1].wait_for("ready", HANG_S)
        return processes[-1]

    yield start_service
    for child in reversed(processes):
        child.end()


def test_scan_of_the_services_ends_in_a_complete_file(start: Any, epics: LoopbackEpics, tmp_path: Path) -> None:
    start("ioc", "ioc")
    start("stream", "service")
    healthy = [sys.executable, *arguments_in_health_check("stream")]
    assert subprocess.run(healthy, env=process_environment(epics.client_environment())).returncode == 0
    plan = [sys.executable, *arguments_of("plan", tmp_path), "--scan-id", "composed"]
    environment = process_environment(epics.client_environment())
    done = subprocess.run(plan, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "composed_std.h5"
    assert [finding for finding in validate_file(path) if finding.level == "error"] == []
    with h5py.File(path) as file:
        assert len(file["/entry/data"]) == 100
        assert file["/entry/run/state"][()] == b"COMPLETE"
    assert (tmp_path / "composed_raw.h5").exists()


def arguments_in_health_check(service: str) -> list[str]:
    kind, program, *arguments = COMPOSE["services"][service]["healthcheck"]["test"]
    assert kind == "CMD"
    return [*MODULES[program], *arguments]


def test_service_for_a_real_detector_is_ready_before_the_detector_is(start: Any) -> None:
    assert start("stream-adsim", "service").exit_code is None


@pytest.mark.further
@pytest.mark.parametrize("name", ["stream", "stream-adsim"])
def test_service_that_was_killed_is_started_again(name: str) -> None:
    assert COMPOSE["services"][name]["restart"] == "on-failure"


def compose_program() -> list[str] | None:
    """Docker's own subcommand or the older program; None where neither is installed."""
    for program in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(program[0]) and subprocess.run([*program, "version"], capture_output=True).returncode == 0:
            return program
    return None


@pytest.mark.parametrize("profile", [[], ["--profile", "adsim"]])
def test_docker_accepts_the_file(profile: list[str]) -> None:
    program = compose_program()
    if program is None:
        pytest.skip("docker compose is not installed")
    command = [*program, *profile, "config", "--quiet"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
