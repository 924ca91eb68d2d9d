"""The tutorial `your-beamline.md`, followed to the letter on a simulated beamline under its prefix."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S

from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LoopbackEpics, process_environment

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "tutorials" / "your-beamline.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)), re.MULTILINE)
PROMISED = [line for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
OURS = {"ptychostream": ["-m", "stream_service.cli"], "python": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "xml_layouts").symlink_to(CHECKOUT / "xml_layouts")
    return tmp_path


@pytest.fixture
def service(epics: LoopbackEpics, folder: Path) -> Iterator[Callable[[list[str]], Subprocess]]:
    processes: list[Subprocess] = []

    def start(arguments: list[str]) -> Subprocess:
        environment = process_environment(epics.server_environment("service")) | {"PYTHONPATH": str(CHECKOUT)}
        arguments = [str(folder / part) if (folder / part).exists() else part for part in arguments]
        processes.append(Subprocess("service", arguments, environment, folder / "service.log"))
        processes[-1].wait_for("ptychostream ready: my beamline, prefix PTYCHO:", HANG_S)
        return processes[-1]

    yield start
    for child in processes:
        child.end()


def test_every_command_does_what_the_page_says(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, folder: Path, service: Callable[[list[str]], Subprocess]
) -> None:
    said = ""
    environment = process_environment(epics.client_environment())
    for command in COMMANDS:
        words = shlex.split(command)
        set_here = [word for word in words if word.startswith("EPICS_")]
        program, *arguments = [word for word in words if word not in set_here]
        if program == "export":
            continue  # the variables of the page are those of a desk; here every test has ports of its own
        if program == "iocsim":
            start_ioc(*arguments)
        elif program == "ptychostream" and arguments[0] == "run":
            (folder / "data").mkdir()
            service([*OURS[program], *arguments])
        else:
            line = [sys.executable, *OURS[program], *arguments] if program in OURS else [program, *arguments]
            done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            said += done.stdout
    assert len(COMMANDS) == 13
    for line in PROMISED:
        assert line in said
    assert "between the last frame's stamp and its counter" in said
    assert "NDAttribute" not in "".join(re.findall("^ERROR.*$", said, re.MULTILINE))
    with h5py.File(folder / "data" / "first_std.h5") as live, h5py.File(folder / "data" / "again_std.h5") as again:
        assert np.array_equal(live["/entry/data"][()], again["/entry/data"][()])
        np.testing.assert_allclose(live["/entry/pos"][()], again["/entry/pos"][()], atol=1e-12)
