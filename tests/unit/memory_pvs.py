"""The service's PVs in memory, for tests of what stands on them: no network, no waiting, every order forced."""

from __future__ import annotations

import json
from collections.abc import Callable

from ptychostream_devices.service_pvs import MONITORED, ServicePVs
from stream_service.settings.request import ScanRequest

REQUEST = ScanRequest(scan_id="scan_1", n_positions=3)
TEXTS = {"State": "IDLE", "Health": "READY"} | dict.fromkeys(
    ("ArmError", "ScanId", "File", "Message", "EndReason", "ToRepeat"), ""
)


class MemoryPVs(ServicePVs):
    """The service's PVs, without a service: what a put leads to is told by the test."""

    prefix = "TEST:"

    def __init__(self) -> None:
        super().__init__()
        self._is_connected = True
        self.puts: list[tuple[str, int | str]] = []
        self.answers: dict[str, Callable[[int | str], None]] = {"Arm": self.arm}
        self.is_served = True

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @is_connected.setter
    def is_connected(self, value: bool) -> None:
        self._is_connected = value
        self.wake()

    def connect(self, timeout_s: float) -> None:
        if not self.is_served:
            raise TimeoutError("nothing answers at TEST:")
        for name in MONITORED:
            if not self.has(name):
                self.post(name, TEXTS.get(name, 0), 1.0)

    def put(self, name: str, value: int | str) -> None:
        self.puts.append((name, value))
        if name in self.answers:
            self.answers[name](value)

    def say(self, **values: int | str) -> None:
        """Post one update after the other."""
        for name, value in values.items():
            self.post(name, value, 2.0)

    def arm(self, _: int | str) -> None:
        """A service that arms: the commands come back first, so that nothing may depend on that order."""
        requested = json.loads(next(value for name, value in reversed(self.puts) if name == "Request"))
        number = int(self.latest("RunNumber").value) + 1
        self.say(Arm=1, ArmError="")
        self.say(Arm=0, RunNumber=number, ScanId=requested["scan_id"], File="/data/scan_1_std.h5", State="ARMED")

    @property
    def commands(self) -> list[str]:
        return [name for name, _ in self.puts if name != "Request"]
