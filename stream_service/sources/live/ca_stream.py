"""The switches of a camera and of the plugin that sends its frames, which tell whether they leave an areaDetector.

The PVs are those that every areaDetector has, found by the names in the profile; one that does not answer is left out,
and nobody waits for it. Stock plugins start disabled, and nothing else tells that no frame will ever come.
"""

from __future__ import annotations

import time
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV

COUNTER = "ArrayCounter_RBV"
IMAGE = "Image"


def plugin_prefix(channel: str) -> str:
    """Prefix of the NDPluginPva behind a channel named as usual (`BL1:Pva1:Image`); empty for any other name."""
    return channel.removesuffix(IMAGE) if channel.endswith(f":{IMAGE}") else ""


def camera_prefix(counter_pv: str) -> str:
    """Prefix of the camera whose counter is named as usual (`BL1:cam1:ArrayCounter_RBV`); empty for any other name."""
    return counter_pv.removesuffix(COUNTER) if counter_pv.endswith(f":{COUNTER}") else ""


class CaStream:
    """The switches between a camera and the plugin that sends its frames, read only."""

    def __init__(self, plugin: str, camera: str) -> None:
        """Prefixes; an empty one is not asked."""
        self._plugin, self._camera = plugin, camera
        self._pvs: dict[str, Any] = {}

    def connect(self) -> None:
        """Search for what does not answer yet, without waiting for it."""
        names = []
        if self._plugin:
            names += [f"{self._plugin}{field}_RBV" for field in ("EnableCallbacks", "NDArrayPort")]
        if self._camera:
            names += [f"{self._camera}{field}_RBV" for field in ("ArrayCallbacks", "PortName")]
        for name in names:
            known = self._pvs.get(name)
            if known is None or not known.connected:
                if known is not None:
                    let_go(known)
                self._pvs[name] = PV(name, auto_monitor=True)

    def wait(self, timeout_s: float) -> None:
        """Give the PVs some time to answer."""
        deadline = time.monotonic() + timeout_s
        for pv in self._pvs.values():
            pv.wait_for_connection(max(0.01, deadline - time.monotonic()))
        while time.monotonic() < deadline and any(pv.connected and pv.value is None for pv in self._pvs.values()):
            time.sleep(0.01)

    @property
    def problem(self) -> str:
        """Reason why no frame can come, as far as the switches tell; empty if they are as they must be."""
        if self._value(f"{self._camera}ArrayCallbacks_RBV") == 0:
            return (
                f"ArrayCallbacks of {self._camera.rstrip(':')} is 0, so the camera gives its frames to no plugin: put 1"
            )
        if self._value(f"{self._plugin}EnableCallbacks_RBV") == 0:
            return f"EnableCallbacks of {self._plugin.rstrip(':')} is 0, so the plugin sends no frame: put 1"
        return ""

    @property
    def detour(self) -> str:
        """The plugin between camera and sending plugin, if there is one; empty if there is none, or nobody tells."""
        source, port = self._value(f"{self._plugin}NDArrayPort_RBV"), self._value(f"{self._camera}PortName_RBV")
        if not source or not port or source == port:
            return ""
        plugin = self._plugin.rstrip(":")
        return f"{plugin} takes its frames from port {source}, not from the camera's {port}: is {source} enabled?"

    def close(self) -> None:
        """End the monitors."""
        for pv in self._pvs.values():
            let_go(pv)

    def _value(self, name: str) -> Any:
        pv = self._pvs.get(name)
        return pv.value if pv is not None and pv.connected else None
