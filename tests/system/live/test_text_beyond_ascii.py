"""Names beyond ASCII go through plan, service, PVs, files and commands as they were given: UTF-8 everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S
from plan_bench import EXPOSURE_S, PlanBench, make_plan_bench
from rig import Rig, start_rig

from ptychostream_plans import ptycho_positions
from stream_service.service.remote import RemoteService
from stream_service.testing.loopback import LoopbackEpics, process_environment
from stream_service.text.utf8 import waveform_of

PATH = "Strahlzeit_é/样品 µ/→"
SAMPLE = "Ångström-µ-Probe 样品"
POSITIONS_M = [(0.0, 0.0), (2e-7, 0.0)]


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("names")
    ioc = start_ioc("--shape", "32,48", "--stack", "2")
    running = start_rig(ioc.prefix, epics, folder)
    yield running
    running.close()


@pytest.fixture(scope="module")
def bench(rig: Rig) -> PlanBench:
    return make_plan_bench(rig)


def texts_in(path: Any) -> list[str]:
    """Every text in a file, datasets and what they are described by."""
    found: list[str] = []

    def note(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "SO" and item.size == 1:
            found.append(np.asarray(item[()]).reshape(-1)[0].decode())

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@pytest.mark.further
def test_a_scan_goes_to_the_folder_that_was_named_with_the_sample_that_was_named(
    bench: PlanBench, rig: Rig, epics: LoopbackEpics
) -> None:
    scan_id = bench.scan_id("names")
    plan = ptycho_positions(
        *bench.devices,
        positions_m=POSITIONS_M,
        exposure_s=EXPOSURE_S,
        scan_id=scan_id,
        path=PATH,
        md={"sample": SAMPLE},
    )
    bench.run(plan)
    file = rig.folder / PATH / f"{scan_id}_std.h5"
    raw = file.with_name(f"{scan_id}_raw.h5")
    assert file.is_file() and raw.is_file()
    assert SAMPLE in texts_in(file)
    settings = next(text for text in texts_in(file) if text.startswith("{"))
    assert json.loads(settings)["request"]["path"] == PATH
    (stream,) = (
        document["data"]["stream_file"] for document in bench.of_kind("event") if "stream_file" in document["data"]
    )
    assert stream == str(file)
    assert RemoteService(rig.service.prefix, HANG_S).look().values["File"] == str(file)
    environment = process_environment(epics.client_environment()) | {"COLUMNS": "300"}
    for locale, shown in (("C.UTF-8", str(file)), ("C", "Strahlzeit_\\xe9")):
        done = subprocess.run(
            [sys.executable, "-m", "stream_service.cli", "status", "--prefix", rig.service.prefix],
            env=environment | {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout.decode()


def arm(rig: Rig, request: object) -> str:
    """The service's sentence if it refuses."""
    rig.service.put("Request", request)
    rig.service.put("Arm", 1)
    rig.service.wait_for("Arm", 0)
    return rig.service.get("ArmError")


def test_a_request_is_read_as_it_was_meant(rig: Rig) -> None:
    request = {"sample": "é µ", "path": "é", "n_positions": 1, "metadata": {"Proben-Nº": "ß"}}
    as_utf8 = waveform_of(json.dumps(request | {"scan_id": "utf8"}, ensure_ascii=False))
    for scan_id, message in (("utf8", as_utf8), ("ascii", json.dumps(request | {"scan_id": "ascii"}))):
        assert arm(rig, message) == ""
        rig.beamline.acquire(1)
        assert rig.wait_for_end() == "COMPLETE"
        texts = texts_in(rig.folder / "é" / f"{scan_id}_std.h5")
        assert "é µ" in texts
        assert any(json.loads(text)["request"]["metadata"] == {"Proben-Nº": "ß"} for text in texts if text[0] == "{")


def test_a_request_that_is_no_utf8_is_refused_and_nothing_is_guessed(rig: Rig) -> None:
    # of a str beyond ASCII pyepics sends something else, without a word
    for message in ('{"scan_id": "x", "sample": "é"}', np.array([123, 200, 255, 34, 0], np.uint8)):
        assert "the request is wrong" in arm(rig, message)
    assert rig.arm("after", n_positions=1) == ""
    rig.service.put("Abort", 1)
    assert rig.wait_for_end() == "ABORTED"


def test_a_message_longer_than_its_record_is_cut_between_characters(rig: Rig) -> None:
    error = arm(rig, waveform_of(json.dumps({"scan_id": "long", "references": {"dark": "é样" * 2000 + ".npy"}})))
    assert "é样" in error and "\ufffd" not in error and 4000 < len(error.encode()) < 4096
