"""`ptychostream check`: connect to everything a profile names, and say in plain words what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from p4p.client.thread import Context

from stream_service.config import Profile
from stream_service.core.units import is_same_unit
from stream_service.errors import PtychostreamError
from stream_service.placeholders import placeholder_problem
from stream_service.service.file_system import space_problem, swmr_problem
from stream_service.service.run_file import build_corrections, build_reducer
from stream_service.service.run_sources import followed_channels
from stream_service.sources.ca_detector import CaDetector
from stream_service.sources.ca_readbacks import CaReadbacks
from stream_service.sources.ntndarray import decode_ntndarray
from stream_service.sources.pva_frames import PvaFrames


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `about` is what was looked at."""

    level: Literal["ok", "advice", "error"]
    about: str
    text: str


def check_profile(profile: Profile) -> Iterator[Finding]:
    """Check everything a run will need, one finding after another; the network is used, nothing is changed.

    A profile with placeholders is not looked at further: there is nothing to connect to.
    """
    if problem := placeholder_problem(profile):
        yield Finding("error", "placeholders", problem)
        return
    yield from _check_folder(profile)
    try:
        corrections = build_corrections(profile.preprocessing, profile.references)
        yield Finding("ok", "references", ", ".join(profile.references.model_dump(exclude_none=True)) or "none named")
    except PtychostreamError as error:
        corrections = None
        yield Finding("error", "references", str(error))
    yield from _check_detector(profile)
    yield from _check_channels(profile)
    with Context("pva", nt=False) as pva:
        frames = PvaFrames(pva, profile.detector.frames_pva, 1 << 24)
        problem = _attempt(frames.start)
        if problem:
            yield Finding("error", "frames", problem)
            return
        frames.begin()
        frames.close()
    if frames.latest_before is None:
        yield Finding("advice", "frames", f"{profile.detector.frames_pva} answers, but has sent no frame yet: take one")
        return
    try:
        frame = decode_ntndarray(frames.latest_before, profile.detector.frame_time.field)
        shape = f"{frame.pixels.shape[0]} rows x {frame.pixels.shape[1]} columns of {frame.pixels.dtype}"
        yield Finding("ok", "frames", f"{profile.detector.frames_pva}: {shape}")
        if corrections is not None:
            stored = build_reducer(profile.preprocessing, corrections, frame.pixels.shape, 1, frame.pixels.dtype)
            yield Finding("ok", "preprocessing", f"stored frames are {stored.out_shape[0]} x {stored.out_shape[1]}")
        yield from _check_attributes(profile, dict(frame.attributes))
    except PtychostreamError as error:
        yield Finding("error", "frames", str(error))


def _check_folder(profile: Profile) -> Iterator[Finding]:
    root = profile.service.data_root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        yield Finding("error", "data_root", f"cannot make the folder {root}: {error.strerror}")
        return
    problem = swmr_problem(root)
    yield (
        Finding("error", "data_root", problem) if problem else Finding("ok", "data_root", f"{root} can hold live files")
    )
    if problem := space_problem(root):
        yield Finding("advice", "data_root", problem)


def _check_detector(profile: Profile) -> Iterator[Finding]:
    settings = profile.detector
    detector = CaDetector(settings.acquire_pv, settings.counter_pv, settings.exposure_pv)
    problem = _attempt(detector.start)
    if problem:
        yield Finding("error", "detector", problem)
    else:
        yield Finding("ok", "detector", f"counter {detector.counter()}, exposure {detector.exposure_s:g} s")
        if detector.is_acquiring:
            yield Finding(
                "advice", "detector", f"{settings.acquire_pv}: it acquires now; it must be idle when a run is armed"
            )
    detector.close()


def _check_channels(profile: Profile) -> Iterator[Finding]:
    readbacks = CaReadbacks(followed_channels(profile))
    problem = _attempt(readbacks.start)
    if problem:
        yield Finding("error", "channels", problem)
        return
    for name, channel in profile.channels.items():
        if not channel.pv:
            continue
        unit = readbacks.unit(name)
        if unit and not is_same_unit(unit, channel.unit):
            text = f"the profile says {channel.pv} is in {channel.unit}, the IOC says {unit}: correct the profile"
            yield Finding("error", f"channel {name}", text)
        else:
            yield Finding("ok", f"channel {name}", f"{channel.pv} = {readbacks.latest(name):g} {channel.unit}")
    readbacks.close()


def _check_attributes(profile: Profile, attributes: dict[str, object]) -> Iterator[Finding]:
    for name, channel in profile.channels.items():
        if not channel.attribute:
            continue
        value = attributes.get(channel.attribute)
        if isinstance(value, int | float) and np.isfinite(value):
            yield Finding("ok", f"channel {name}", f"NDAttribute {channel.attribute} = {value:g} {channel.unit}")
        elif channel.attribute in attributes:
            text = f"the NDAttribute {channel.attribute} has no value: is the PV behind it connected?"
            yield Finding("error", f"channel {name}", text)
        else:
            present = ", ".join(attributes)
            text = (
                f"frames carry no NDAttribute {channel.attribute}: add it to the attributes file (there are: {present})"
            )
            yield Finding("error", f"channel {name}", text)


def _attempt(action: Callable[[], None]) -> str:
    try:
        action()
    except PtychostreamError as error:
        return str(error)
    return ""
