"""A run beside a beamline that misbehaves: a plugin that is off, an IOC that dies, frames beyond those announced."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rig import Rig, start_rig

from stream_service.core.run import EndReason
from stream_service.testing.loopback import LoopbackEpics

GONE_S = 10.0
"""The message until then is read, however long the machine is held up."""
MAJOR = 2


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc()


@pytest.fixture(scope="module")
def rig(ioc: Any, epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    service = {"gone_s": GONE_S, "grace_s": 60.0, "drain_s": 0.5}
    rig = start_rig(ioc.prefix, epics, tmp_path_factory.mktemp("watch"), service=service)
    yield rig
    rig.close()


def message_and_severity(rig: Rig) -> tuple[str, int]:
    text = str(rig.service.get("Message"))
    return text, int(rig.service.pv("Message").severity)


def expose(rig: Rig, n_images: int) -> None:
    """Take images as an operator does, who switches no plugin on."""
    rig.beamline.put_all(cam1__ImageMode="Multiple", cam1__NumImages=n_images, cam1__AcquireTime=0.001)
    rig.beamline.put("cam1:Acquire", 1)


def wait_for_message(rig: Rig, words: str) -> tuple[str, int]:
    rig.service.wait_until(lambda: words in str(rig.service.get("Message")))
    return message_and_severity(rig)


def test_plugin_that_is_off_is_named_at_arming_and_when_the_counter_goes_on(rig: Rig) -> None:
    rig.beamline.put("Pva1:EnableCallbacks", "Disable")
    rig.beamline.wait_for("Pva1:EnableCallbacks_RBV", "Disable")
    off = f"EnableCallbacks of {rig.beamline.prefix}Pva1 is 0, so the plugin sends no frame: put 1"
    assert rig.arm("off", n_positions=10) == ""
    wait_for_message(rig, off)
    expose(rig, 10)
    text, severity = wait_for_message(rig, "the detector has taken 10 frames, none came over PVA")
    assert text.endswith(f"none came over PVA: {off}") and severity == MAJOR
    rig.service.put("Stop", 1)
    assert rig.wait_for_end() == "INCOMPLETE"
    assert rig.service.get("EndReason") == EndReason.FRAMES_LOST
    rig.beamline.put("Pva1:EnableCallbacks", "Enable")
    rig.beamline.wait_for("Pva1:EnableCallbacks_RBV", "Enable")


def test_frames_after_those_announced_are_told(rig: Rig) -> None:
    """9 positions are announced, 12 taken, one acquisition each."""
    assert rig.arm("beyond", n_positions=9) == ""
    for _ in range(9):
        rig.beamline.acquire(1)
    assert rig.wait_for_end() == "COMPLETE"
    for _ in range(3):
        rig.beamline.acquire(1)
    wait_for_message(rig, "the detector has exposed 3 frames since the run had all announced: they are in no file")
    assert rig.service.get("FramesUnexpected") == 3


def test_frames_beyond_those_announced_in_one_acquisition_are_told(rig: Rig) -> None:
    assert rig.arm("burst", n_positions=9) == ""
    rig.beamline.acquire(12, exposure_s=0.01)
    assert rig.wait_for_end() == "COMPLETE"
    rig.service.wait_until(lambda: rig.service.get("FramesUnexpected") == 3)


def test_ioc_that_dies_is_told_at_once_and_ends_the_run(rig: Rig, ioc: Any) -> None:
    """Last: the beamline is gone afterwards."""
    assert rig.arm("dead", n_positions=50) == ""
    rig.beamline.acquire(10)
    rig.service.wait_until(lambda: rig.service.get("FramesReceived") == 10)
    ioc.stop(signal.SIGKILL)
    text, severity = wait_for_message(rig, "no answer from")
    assert f"{rig.beamline.prefix}cam1:Acquire_RBV" in text and severity == MAJOR
    assert f"The run ends unless the detector is back within {GONE_S:g} s" in text
    assert rig.wait_for_end() == "INCOMPLETE"
    assert rig.service.get("EndReason") == EndReason.DETECTOR_GONE
    assert rig.service.get("FramesStored") == 10
    assert "no answer from" in str(rig.arm("next", n_positions=1))
