"""Switches between the camera and the plugin that sends its frames tell why none can come."""

from __future__ import annotations

from typing import Any

import pytest

from stream_service.sources.live.ca_stream import CaStream, camera_prefix, plugin_prefix


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
