"""bluesky-queueserver lists our plans and devices: every parameter typed and described, and wrong ones refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import ptychostream_plans
from stream_service.testing.loopback import LoopbackEpics, process_environment

profile_ops = pytest.importorskip(
    "bluesky_queueserver.manager.profile_ops", reason="pip install 'ptychostream[queueserver]'"
)
STARTUP = Path(__file__).resolve().parents[3] / "examples" / "queueserver_startup.py"
OURS = {name for name in ptychostream_plans.__all__ if name.startswith("ptycho_")} | {"dark_flat"}
CALLABLES = {"move_sample_out", "focus"}
"""Plans given as arguments: a queue cannot hold them."""


@pytest.fixture(scope="module")
def listed(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Output of the server's own command about the startup script of the examples."""
    folder = tmp_path_factory.mktemp("queue")
    prefix = start_ioc("--shape", "32,48", "--stack", "2").prefix
    environment = process_environment(epics.client_environment()) | {"PTYCHO_IOC": prefix, "PTYCHO_RAW": str(folder)}
    command = Path(sys.executable).with_name("qserver-list-plans-devices")
    done = subprocess.run(
        [command, "--startup-script", STARTUP, "--file-dir", folder, "--file-name", "list.yaml"],
        env=environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "created successfully" in done.stdout + done.stderr, done.stdout + done.stderr
    assert "rror" not in done.stderr
    return yaml.safe_load((folder / "list.yaml").read_text())


def test_every_plan_and_device_is_listed(listed: dict[str, Any]) -> None:
    assert set(listed["existing_plans"]) == OURS
    assert {"detector", "stage", "energy", "shutter", "stream"} <= set(listed["existing_devices"])
    assert listed["existing_devices"]["stream"]["is_flyable"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_parameter_is_typed_and_described(listed: dict[str, Any], name: str) -> None:
    plan = listed["existing_plans"][name]
    assert plan["description"]
    for parameter in plan["parameters"]:
        assert parameter.get("description"), parameter["name"]
        if parameter["name"] not in CALLABLES:
            kind = parameter["annotation"]["type"]
            assert not kind.startswith("'"), f"{parameter['name']} has the name of a type, {kind}, instead of a type"


@pytest.mark.parametrize(
    ("changes", "is_fine"),
    [
        ({}, True),
        ({"n_points": "many"}, False),
        ({"center_m": [1e-6, "right"]}, False),
        ({"speed": 3}, False),
        ({"references": {"dark": "dark.h5"}, "energy": "energy", "md": {"sample": "shell"}}, True),
    ],
)
def test_queue_takes_what_fits_and_refuses_what_does_not(
    listed: dict[str, Any], changes: dict[str, Any], is_fine: bool
) -> None:
    arguments = {"detector": "detector", "stage": "stage", "service": "stream"}
    arguments |= {"n_points": 20, "step_m": 2e-7, "exposure_s": 0.01, "center_m": [0.0, 1e-6]} | changes
    accepted, message = profile_ops.validate_plan(
        {"name": "ptycho_fermat", "item_type": "plan", "kwargs": arguments},
        allowed_plans=listed["existing_plans"],
        allowed_devices=listed["existing_devices"],
    )
    assert accepted is is_fine, message
