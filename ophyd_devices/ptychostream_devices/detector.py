"""Any areaDetector as a ptychography detector: software step scans that record every frame, or fail loudly.

One trigger takes the frames of one position. Frames go to NDFileHDF5 and out over PVA; a plugin that drops an array
or a file that cannot be written fails the trigger during which it happened. Nothing here touches the camera's
ArrayCounter: the streaming service reads it when it is armed and counts from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from ophyd import Component, DetectorBase, DeviceStatus, EpicsSignalRO, FormattedComponent, Signal
from ophyd.areadetector import ADComponent
from ophyd.areadetector.base import EpicsSignalWithRBV
from ophyd.areadetector.cam import CamBase
from ophyd.areadetector.plugins import PluginBase_V34, PvaPlugin_V34, StatsPlugin_V34
from ophyd.areadetector.trigger_mixins import TriggerBase
from ophyd.device import Staged
from ophyd.status import StatusBase

from ptychostream_devices.raw_file_layout import LayoutError, RawFileLayout
from ptychostream_devices.raw_file_plugin import RawFilePlugin
from ptychostream_devices.restoring import REFUSALS, Settings, forget_staging, restore, take_settings
from stream_service.text.utf8 import waveform_of

SETTING_TIMEOUT_S = 10.0  # for a detector to take an exposure time or to stop acquiring
READOUT_MARGIN_S = 10.0  # beyond the exposures themselves, before a trigger is said to hang


class DetectorError(Exception):
    """The detector lost frames or could not write them; the text can be shown to an operator as it is."""


@dataclass(frozen=True, slots=True)
class DetectorSetup:
    """Settings of the detector for the next scan of a plan."""

    exposure_s: float
    """Exposure time of one frame."""
    frames_per_trigger: int = 1
    """Frames taken by one trigger, at one position."""
    raw_name: str | None = None
    """Name of the NDFileHDF5 file, without `.h5`; None names it by the time."""
    raw_folder: str = ""
    """Folder below the detector's write path."""
    moment: datetime = field(default_factory=datetime.now, compare=False)
    """The time that is filled into the templates of folders: the path that a plan announces is the one that is written,
    also at midnight."""


class CountedPva(PvaPlugin_V34):
    """NDPluginPva, whose loss counter is watched."""

    dropped_arrays = ADComponent(EpicsSignalWithRBV, "DroppedArrays", auto_monitor=True, kind="omitted")


class CountedStats(StatsPlugin_V34):
    """NDPluginStats, whose loss counter is watched."""

    dropped_arrays = ADComponent(EpicsSignalWithRBV, "DroppedArrays", auto_monitor=True, kind="omitted")


class CountedZmq(PluginBase_V34):
    """NDPluginZMQ, whose loss counters are watched: the second counts what no peer took."""

    _default_suffix = "ZMQ1:"
    _suffix_re = r"ZMQ\d:"
    _plugin_type = "NDPluginZMQ"
    dropped_arrays = ADComponent(EpicsSignalWithRBV, "DroppedArrays", auto_monitor=True, kind="omitted")
    dropped_output_arrays = ADComponent(EpicsSignalWithRBV, "DroppedOutputArrays", auto_monitor=True, kind="omitted")


class PtychoDetector(TriggerBase, DetectorBase):
    """A camera with NDFileHDF5 (`HDF1:`), NDPluginPva (`Pva1:`) and NDPluginStats (`Stats1:`).

    An event holds the total of the last frame, its ArrayCounter (with most drivers its uniqueId) and the datum of
    the raw frames. For another camera class use `with_cam`; for other plugin names derive a class.
    """

    cam = ADComponent(CamBase, "cam1:")
    hdf = ADComponent(RawFilePlugin, "HDF1:", write_path_template="/")
    pva = ADComponent(CountedPva, "Pva1:")
    stats = ADComponent(CountedStats, "Stats1:")
    attributes_status = FormattedComponent(
        EpicsSignalRO, "{self.cam.prefix}NDAttributesStatus", string=True, kind="omitted"
    )
    rewindable = Component(Signal, value=False, kind="omitted")
    """For `trigger_and_read`: an exposure is not repeated after a pause, its frames are in the files already."""

    def __init__(
        self,
        prefix: str,
        *,
        name: str,
        write_path_template: str,
        read_path_template: str | None = None,
        root: str = "/",
        layout: str | Path | None = None,
        attributes: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        """`write_path_template` is the folder of raw files as the IOC sees it (strftime codes are filled in);
        `read_path_template` the same as readers see it, if that differs; `root` the part that may be mounted elsewhere.

        `layout` is the XML of the raw files' layout, looked over at once (`LayoutError`) and set before each capture;
        `attributes` the camera's NDAttributes XML, as the IOC sees it, too, set together with it. Without them the IOC
        keeps its own.
        """
        raw_layout = None if layout is None else RawFileLayout.read(layout, attributes)
        kwargs.setdefault("read_attrs", ["cam", "cam.array_counter", "hdf", "stats", "stats.total"])
        super().__init__(prefix, name=name, **kwargs)
        self.hdf.reg_root = root
        self.hdf.write_path_template = write_path_template
        self.hdf.read_path_template = read_path_template
        self.hdf.layout = raw_layout
        self.stats.total.kind = "hinted"
        for plugin in self._plugins:
            plugin.configuration_attrs = ["enable", "nd_array_port"]
        self._exposing: DeviceStatus | None = None
        self._dropped_before: dict[str, int] = {}

    @classmethod
    def with_cam(cls, cam_class: type[CamBase], suffix: str = "cam1:") -> type[PtychoDetector]:
        """The same detector with another camera class, say ophyd's `EigerDetectorCam`."""
        return type(f"{cls.__name__}_{cam_class.__name__}", (cls,), {"cam": ADComponent(cam_class, suffix)})

    @classmethod
    def with_zmq(cls, suffix: str = "ZMQ1:") -> type[PtychoDetector]:
        """The same detector with an NDPluginZMQ, whose losses then count, too: it drops what its peer does not take."""
        return type(f"{cls.__name__}_Zmq", (cls,), {"zmq": ADComponent(CountedZmq, suffix)})

    @property
    def _plugins(self) -> tuple[PluginBase_V34, ...]:
        """Every plugin that the frames go through."""
        return tuple(getattr(self, name) for name in ("hdf", "pva", "stats", "zmq") if name in self.component_names)

    def raw_file(self, setup: DetectorSetup) -> str | None:
        """Path of the raw file that a scan with this setup will write, as readers see it; None if not yet known."""
        return None if setup.raw_name is None else self.hdf.file_for(setup.raw_name, setup.raw_folder, setup.moment)

    def prepare(self, value: DetectorSetup) -> StatusBase:
        """Set up the next scan; before `stage`, because staging starts the capture of the raw file.

        Done when the camera has taken the exposure time, which stays set after the scan; all else is for that scan.
        """
        if self._staged != Staged.no:
            raise RuntimeError(f"{self.name} is staged already: prepare it before it is staged")
        self.stage_sigs["cam.num_images"] = value.frames_per_trigger
        if value.raw_name is not None:
            self.hdf.name_next_file(value.raw_name, value.raw_folder, value.moment)
        self.cam.acquire_period.put(value.exposure_s)  # not awaited: many cameras make it longer by their readout
        return self.cam.acquire_time.set(value.exposure_s, timeout=SETTING_TIMEOUT_S)

    def stage(self) -> list[object]:
        """Stop the camera, set up camera and plugins, and open the capture."""
        self.cam.acquire.set(0).wait(SETTING_TIMEOUT_S)  # so that unstaging does not start it again
        self._set_attributes()
        staged = super().stage()
        try:
            self._dropped_before = self._dropped()
            self._acquisition_signal.subscribe(self._acquire_changed)
        except REFUSALS:  # as ophyd does where its own staging fails half way
            self.unstage()
            raise
        return staged

    def _set_attributes(self) -> None:
        layout = self.hdf.layout
        if layout is None or layout.attributes_path is None:
            return
        path = waveform_of(str(layout.attributes_path))
        self.cam.nd_attributes_file.put(path, wait=True, timeout=SETTING_TIMEOUT_S)
        status = self.attributes_status.get()
        if status != "Attributes file OK":
            raise LayoutError(
                f"the camera of {self.name} does not take the attributes file {layout.attributes_path}: {status}. The "
                "IOC reads it itself: is the path the same there?"
            )

    def unstage(self) -> list[object]:
        """Stop the camera, end the capture and restore what staging changed. Safe to call at any time.

        What cannot be restored is logged; the detector can be staged again in any case.
        """
        self._acquisition_signal.clear_sub(self._acquire_changed)
        self._exposing = None
        settings: Settings = [(self.cam.acquire, 0)] if self._staged != Staged.no else []
        try:
            restore(settings)
            self.hdf.unstage()  # first: it knows what is not to be tried
            restore(take_settings(self))
            return super().unstage()
        finally:
            self.stage_sigs.pop("cam.num_images", None)
            forget_staging(self)

    def trigger(self) -> DeviceStatus:
        """Take the frames of one position.

        Fails with `DetectorError` if a plugin dropped an array or the raw file could not be written.
        """
        if self._staged != Staged.yes:
            raise RuntimeError(f"{self.name} must be staged before it is triggered")
        exposing = DeviceStatus(self, timeout=self._longest_trigger_s())
        self._exposing = exposing  # taken away by `_acquire_changed`, maybe before this method returns
        self._acquisition_signal.put(1, wait=False)
        self.generate_datum(f"{self.name}_image", time.time(), {})
        return exposing

    def pause(self) -> None:
        """Let the exposure that runs come to its end; it is read when the plan is resumed."""
        if (exposing := self._exposing) is not None:
            exposing.exception(timeout=(exposing.timeout or 0.0) + SETTING_TIMEOUT_S)  # it fails by itself before that
        self.hdf.tell_again()
        super().pause()

    def failure(self) -> str:
        """Losses and write errors since staging, in a sentence; empty if there are none."""
        dropped = {
            prefix: count - self._dropped_before.get(prefix, 0)
            for prefix, count in self._dropped().items()
            if count != self._dropped_before.get(prefix, 0)
        }
        if dropped:
            losses = ", ".join(f"{prefix} {count}" for prefix, count in dropped.items())
            return f"plugins of {self.name} dropped arrays since the scan began ({losses}): the scan has holes"
        return self.hdf.failure()

    def _acquire_changed(self, value: int | None = None, old_value: int | None = None, **_: Any) -> None:
        exposing = self._exposing
        if exposing is None or (old_value, value) != (1, 0):
            return
        self._exposing = None
        if sentence := self.failure() or self.hdf.silence():
            exposing.set_exception(DetectorError(sentence))
        else:
            exposing.set_finished()

    def _dropped(self) -> dict[str, int]:
        counts = {plugin.prefix: int(plugin.dropped_arrays.get()) for plugin in self._plugins}
        if "zmq" in self.component_names:
            counts[f"{self.zmq.prefix} (output)"] = int(self.zmq.dropped_output_arrays.get())
        return counts

    def _longest_trigger_s(self) -> float:
        frame_s = max(float(self.cam.acquire_time.get()), float(self.cam.acquire_period.get()))
        return int(self.cam.num_images.get()) * frame_s + READOUT_MARGIN_S

    @property
    def dtype_numpy(self) -> str:
        """Type of a raw pixel as numpy writes it."""
        return np.dtype(self.cam.data_type.get(as_string=True).lower()).str
