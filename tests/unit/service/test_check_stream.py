"""A detector whose frames do not come over PVA is found before a scan finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_run import profile_for

from stream_service.service.check_stream import check_arrival, check_newest
from stream_service.sources.live.ca_stream import CaStream, camera_prefix, plugin_prefix
from stream_service.testing.manual_clock import ManualClock
from stream_service.testing.scripted_frames import ScriptedFrames


class Counter:
    exposure_s = 0.001

    def __init__(self, *shown: int) -> None:
        self.shown = list(shown)

    def counter(self) -> int:
        return self.shown.pop(0)


CLOCK = ManualClock()


def came(*messages: Any) -> ScriptedFrames:
    frames = ScriptedFrames(CLOCK)
    frames.script = [list(messages)]
    return frames


def test_frames_that_are_counted_and_do_not_come_are_an_error() -> None:
    (finding,) = check_arrival(came(), Counter(5, 15), CLOCK)
    assert finding.level == "error"
    assert "the detector has taken 10 frames, none came over script as SIM:Image" in finding.text


def test_frames_that_come_and_a_detector_that_stands_are_fine() -> None:
    assert list(check_arrival(came("a frame"), Counter(5, 15), CLOCK)) == []
    assert list(check_arrival(came(), Counter(5, 5), CLOCK)) == []


def test_last_frame_must_be_the_one_counted_last(tmp_path: Path) -> None:
    assert list(check_newest(profile_for(tmp_path), came(), 7, Counter(7))) == []
    (finding,) = check_newest(profile_for(tmp_path), came(), 7, Counter(19))
    assert "SIM:Counter is 19, but the last frame over script has the id 7" in finding.text


def test_prefixes_are_found_where_the_names_are_areadetectors() -> None:
    assert plugin_prefix("BL1:Pva1:Image") == "BL1:Pva1:"
    assert camera_prefix("BL1:cam1:ArrayCounter_RBV") == "BL1:cam1:"
    assert (plugin_prefix("BL1:frames"), camera_prefix("BL1:frame_number")) == ("", "")


class Pv:
    def __init__(self, value: Any, connected: bool = True) -> None:
        self.value, self.connected = value, connected


@pytest.mark.parametrize(
    ("values", "problem", "detour"),
    [
        ({}, "", ""),
        ({"P:EnableCallbacks_RBV": Pv(1), "C:ArrayCallbacks_RBV": Pv(1)}, "", ""),
        ({"P:EnableCallbacks_RBV": Pv(0)}, "EnableCallbacks of P is 0, so the plugin sends no frame: put 1", ""),
        ({"P:EnableCallbacks_RBV": Pv(0, connected=False)}, "", ""),
        (
            {"C:ArrayCallbacks_RBV": Pv(0)},
            "ArrayCallbacks of C is 0, so the camera gives its frames to no plugin: put 1",
            "",
        ),
        ({"P:NDArrayPort_RBV": Pv("CAM"), "C:PortName_RBV": Pv("CAM")}, "", ""),
        (
            {"P:NDArrayPort_RBV": Pv("ROI1"), "C:PortName_RBV": Pv("CAM")},
            "",
            "P takes its frames from port ROI1, not from the camera's CAM: is ROI1 enabled?",
        ),
    ],
)  # fmt: skip
def test_switches_tell_why_no_frame_can_come(values: dict[str, Pv], problem: str, detour: str) -> None:
    stream = CaStream("P:", "C:")
    stream._pvs = values
    assert (stream.problem, stream.detour) == (problem, detour)


def test_without_names_nothing_is_asked() -> None:
    stream = CaStream("", "")
    stream.connect()
    assert (stream.problem, stream.detour) == ("", "")
