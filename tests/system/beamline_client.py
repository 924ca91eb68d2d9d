"""A CA client of one simulated beamline, for tests: names without the prefix, puts that wait."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limits import HANG_S

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV
from stream_service.text.utf8 import text_in_waveform

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.1
"""Between two looks at a condition: pyepics takes a core while it waits for an answer."""


@dataclass(frozen=True, slots=True)
class Event:
    """One monitor update."""

    name: str
    value: Any
    timestamp_s: float


@dataclass
class BeamlineClient:
    """Gets, puts and monitors PVs below a prefix."""

    prefix: str
    pvs: dict[str, PV] = field(default_factory=dict)

    def pv(self, name: str) -> PV:
        """The connected PV."""
        if name not in self.pvs:
            self.pvs[name] = PV(self.prefix + name, auto_monitor=False, form="time")
        pv = self.pvs[name]
        assert pv.wait_for_connection(HANG_S), f"{self.prefix}{name} is not served"
        return pv

    def get(self, name: str) -> Any:
        """The value the server has now; a char waveform or an enum as a string."""
        pv = self.pv(name)
        is_text = pv.nelm > 1 and "char" in str(pv.type)
        value = pv.get(as_string="enum" in str(pv.type), use_monitor=False, timeout=HANG_S)
        return text_in_waveform(value) if is_text else value

    def put(self, name: str, value: Any, *, wait: bool = True, timeout_s: float = HANG_S) -> None:
        """Put, and wait for the put-callback."""
        assert self.pv(name).put(value, wait=wait, timeout=timeout_s) != -1, f"put to {name} did not end"

    def put_all(self, **values: Any) -> None:
        """Put several; `cam1__NumImages=3` is `cam1:NumImages`."""
        for name, value in values.items():
            self.put(name.replace("__", ":"), value)

    def acquire(self, n_images: int, exposure_s: float = 0.001, period_s: float = 0.0) -> None:
        """Take images and wait for their end."""
        self.put_all(
            Pva1__EnableCallbacks=1,
            cam1__ImageMode="Multiple",
            cam1__NumImages=n_images,
            cam1__AcquireTime=exposure_s,
            cam1__AcquirePeriod=period_s,
        )
        self.put("cam1:Acquire", 1)

    def set_hdf1(self, folder: Path, name: str = "scan", template: str = "%s%s.h5", **values: Any) -> None:
        """Set HDF1 up for a file that grows, from the first frame on; `values` as of `put_all`."""
        self.put_all(
            HDF1__EnableCallbacks=1,
            HDF1__FilePath=str(folder),
            HDF1__FileName=name,
            HDF1__FileTemplate=template,
            HDF1__FileWriteMode="Stream",
            HDF1__LazyOpen="Yes",
        )
        self.put_all(**{"HDF1__NumCapture": 0} | values)

    def begin_capture(self) -> None:
        """Let HDF1 write the frames that come from now on."""
        self.put("HDF1:Capture", 1, wait=False)
        self.wait_for("HDF1:Capture_RBV", "Capturing")

    def watch(self, *names: str) -> list[Event]:
        """A list that grows with every update of these PVs, the present values first."""
        events: list[Event] = []

        def note(pvname: str, value: Any, timestamp: float, **_: Any) -> None:
            events.append(Event(pvname.removeprefix(self.prefix), value, timestamp))

        for name in names:
            pv = PV(self.prefix + name, callback=note, form="time", auto_monitor=True)
            self.pvs[f"watch {name} {id(events)}"] = pv
        self.wait_until(lambda: len({event.name for event in events}) == len(names))
        return events

    def wait_until(self, condition: Any, timeout_s: float = HANG_S) -> None:
        """Wait until the condition is true; fails after the timeout."""
        deadline_s, pause_s = time.monotonic() + timeout_s, SHORTEST_PAUSE_S
        while not condition():
            assert time.monotonic() < deadline_s, "it did not come true in time"
            time.sleep(pause_s)
            pause_s = min(1.3 * pause_s, LONGEST_PAUSE_S)

    def wait_for(self, name: str, value: Any) -> None:
        """Wait until the server has this value."""
        self.wait_until(lambda: self.get(name) == value)

    def close(self) -> None:
        """Let go of all PVs."""
        for pv in self.pvs.values():
            let_go(pv)
        self.pvs.clear()
