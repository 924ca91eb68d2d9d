"""`ptychostream check`: connect to everything a profile names, and say in plain words what is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from stream_service.core.frame import NS_PER_S, Frame
from stream_service.core.pairing.rule import How
from stream_service.errors import PtychostreamError
from stream_service.kernels import Corrections
from stream_service.run.corrections import corrections_from, images_of, load_references
from stream_service.run.file_system import space_problem, swmr_problem
from stream_service.run.live.arming_doubts import check_after_crash, check_arrays, check_times, scalar_problems
from stream_service.run.live.beamline_monitors import DMOV, MOVN, followed_channels
from stream_service.run.live.check_attributes import Latest, check_attributes, check_attributes_of_series
from stream_service.run.live.check_clocks import check_channel_clocks, check_stamp
from stream_service.run.live.check_finding import Finding, problem_of
from stream_service.run.live.check_numbers import check_energy, unit_problem
from stream_service.run.live.frame_transport import frame_transport, takes_from_others
from stream_service.run.live.grouping_checks import grouping_findings
from stream_service.run.settings import build_reducer
from stream_service.service.check_arrays_file import check_arrays_file
from stream_service.service.check_arrivals import arrival_findings, listen
from stream_service.service.check_ports import check_ports
from stream_service.service.check_raw_file import check_raw_file
from stream_service.service.check_stream import check_newest, check_stream
from stream_service.service.data_disk import absence
from stream_service.service.remote import service_host
from stream_service.settings.placeholders import placeholder_problem
from stream_service.settings.profile import POSITION_CHANNELS, Profile, moving_channel
from stream_service.sources.live.ca_detector import CaDetector
from stream_service.sources.live.ca_readbacks import CaReadbacks
from stream_service.text.counted import counted


def check_profile(profile: Profile, listen_s: float | None = None) -> Iterator[Finding]:
    """Check everything a run will need, one finding after another; the network is used, nothing is changed.

    Frames are listened to for `listen_s` (None: as long as it takes to see some; 0: not at all).

    A profile with placeholders is not looked at further: there is nothing to connect to.
    """
    if problem := placeholder_problem(profile):
        yield Finding("error", "placeholders", problem)
        return
    yield from check_folder(profile.service.data_root)
    yield from check_ports(profile)
    try:
        corrections = corrections_from(profile.preprocessing, images_of(load_references(profile)))
        yield Finding("ok", "references", ", ".join(profile.references.model_dump(exclude_none=True)) or "none named")
    except PtychostreamError as error:
        corrections = None
        yield Finding("error", "references", str(error))
    yield from grouping_findings(profile)
    yield from check_raw_file(profile)
    yield from check_stream(profile)
    latest: dict[str, Latest] = {}
    yield from check_arrays(profile)
    yield from check_arrays_file(profile)
    yield from check_after_crash(profile)
    yield from check_times(profile)
    yield from _check_channels(profile, latest)
    detector = CaDetector(profile.detector.acquire_pv, profile.detector.counter_pv, profile.detector.exposure_pv)
    try:
        if problem := problem_of(detector.connect):
            yield Finding("error", "detector", problem)
            detector_answers = False
        else:
            yield from _check_detector(profile, detector)
            detector_answers = True
        yield from _check_frames(profile, corrections, detector if detector_answers else None, latest, listen_s)
    finally:
        detector.close()


def _check_frames(
    profile: Profile,
    corrections: Corrections | None,
    detector: CaDetector | None,
    latest: Mapping[str, Latest],
    listen_s: float | None,
) -> Iterator[Finding]:
    """What arrives; and the last frame, if there is one: its shape, what it carries, its stamp."""
    frame = came_ns = None
    try:
        if reason := _reason_not_to_listen(profile, listen_s):
            yield Finding("warning", "frames", f"not listened to: {reason}")
        else:
            with (
                closing(frame_transport(profile, all_attributes=True)) as transport,
                closing(transport.source()) as frames,
            ):
                frames.listen()
                if listen_s != 0:
                    zmq = profile.detector.frames.zmq
                    arrivals = listen(frames, detector, listen_s)
                    yield from arrival_findings(arrivals, frames, pulls=zmq is not None and zmq.socket == "pull")
                    frame = arrivals.latest
                    if (came_s := arrivals.latest_came_s) is not None:
                        came_ns = time.time_ns() - round((time.monotonic() - came_s) * NS_PER_S)
                frame = frame or frames.latest_frame()
        if frame is None:
            if not reason:
                text = "no frame is known, so its shape, stamp and attributes are not checked: take one while check"
                yield Finding("warning", "frames", f"{text} listens (--listen 20)")
            yield from check_attributes_of_series(profile)
            yield from check_energy(profile, {}, latest)
            return
        yield from _check_shape(profile, frame)
        if corrections is not None:
            stored = build_reducer(profile.preprocessing, corrections, frame.pixels.shape, 1, frame.pixels.dtype)
            yield Finding("ok", "preprocessing", f"stored frames are {stored.out_shape[0]} x {stored.out_shape[1]}")
        yield from check_attributes(profile, frame.attributes, frame.timestamp_ns, latest)
        yield from check_energy(profile, frame.attributes, latest)
        if detector is not None:
            yield from check_stamp(profile, frame, detector, came_ns)
            if not detector.is_acquiring:
                yield from check_newest(profile, frame.unique_id, detector)
    except PtychostreamError as error:
        yield Finding("error", "frames", str(error))


def _reason_not_to_listen(profile: Profile, listen_s: float | None) -> str:
    """Whoever pulls takes frames away from a service that runs."""
    prefix = profile.service.prefix
    if not takes_from_others(profile.detector.frames):
        return ""
    if listen_s == 0:
        return "--listen 0"
    if host := service_host(prefix):
        return (
            f"a service with the prefix {prefix} runs at {host}, and frames that check takes would be missing there: "
            f"'ptychostream status --prefix {prefix}' tells what comes"
        )
    return ""


def check_folder(root: Path) -> Iterator[Finding]:
    """Fitness of a data root for files that are read while they grow; it is not made."""
    if problem := absence(root):
        yield Finding("warning", "data_root", problem)
    folder = next(folder for folder in (root, *root.parents) if os.path.lexists(folder))
    if not folder.is_dir():
        yield Finding("error", "data_root", f"cannot make the folder {root}: {folder} is no folder")
        return
    problem = swmr_problem(folder)
    yield (
        Finding("error", "data_root", problem)
        if problem
        else Finding("ok", "data_root", f"{folder} can hold live files")
    )
    if problem := space_problem(folder):
        yield Finding("warning", "data_root", problem)


def _check_detector(profile: Profile, detector: CaDetector) -> Iterator[Finding]:
    yield Finding("ok", "detector", f"counter {detector.counter()}, exposure {detector.exposure_s:g} s")
    if detector.is_acquiring:
        text = f"{profile.detector.acquire_pv}: it acquires now; it must be idle when a run is armed"
        yield Finding("warning", "detector", text)


def _check_shape(profile: Profile, frame: Frame) -> Iterator[Finding]:
    sensor = profile.detector.sensor_shape
    shape = f"{frame.pixels.shape[0]} rows x {frame.pixels.shape[1]} columns of {frame.pixels.dtype}"
    if sensor is not None and frame.pixels.shape != sensor:
        text = (
            f"{shape}, but detector.sensor_shape in the profile is {sensor[0]} x "
            f"{sensor[1]}: a readout ROI or binning is set, or the profile is wrong"
        )
        yield Finding("warning", "frames", text)
    else:
        yield Finding("ok", "frames", shape)


def _check_channels(profile: Profile, latest: dict[str, Latest]) -> Iterator[Finding]:
    """The PVs of the profile; what they are goes into `latest`."""
    readbacks = CaReadbacks(followed_channels(profile))
    if problem := problem_of(readbacks.connect):
        readbacks.close()
        yield Finding("error", "channels", problem)
        return
    for name, channel in profile.channels.items():
        if not channel.pv:
            continue
        if channel.how is How.INDEX:
            if readbacks.holds_array(name):
                entries = counted(readbacks.n_entries(name), "entry", "entries")
                yield Finding("ok", f"channel {name}", f"{channel.pv} holds {entries}")
            continue
        if problem := unit_problem(profile, name, readbacks.unit(name)):
            yield Finding("error", f"channel {name}", problem)
        else:
            yield Finding("ok", f"channel {name}", f"{channel.pv} = {readbacks.latest(name):g} {channel.unit}")
        latest[name] = Latest(readbacks.latest(name), readbacks.latest_stamp_ns(name))
        if channel.moving and readbacks.pv_of(moving_channel(name)) != channel.moving.pv:
            text = (
                f"{channel.moving.pv} has no time for the start of a motion (it is stamped with the end of the last "
                f"one): {readbacks.pv_of(moving_channel(name))} is followed in its place"
            )
            yield Finding("ok", f"channel {name}", text)
        elif channel.moving and channel.moving.pv.endswith(DMOV):
            text = (
                f"{channel.moving.pv} has no time for the start of a motion, and its record has no {MOVN}: rows that "
                "are paired after the next motion has begun will be flagged, and not used"
            )
            yield Finding("warning", f"channel {name}", text)
        elif name in POSITION_CHANNELS and channel.how is How.TIMESTAMP and not channel.tells_rest:
            text = (
                f"nothing tells when {channel.pv} rests: rows between two posts more than 0.25 s apart will be "
                "flagged, and not used. Give 'moving' (a motor record's .MOVN); or 'gap_s', if it posts at least that "
                "often while it moves; or, for step scans only, 'continuous: false', if it posts when it has arrived"
            )
            yield Finding("warning", f"channel {name}", text)
    yield from scalar_problems(profile, readbacks)
    stamps_ns = {name: readbacks.latest_stamp_ns(name) for name, channel in profile.channels.items() if channel.pv}
    timed = frozenset(name for name, channel in profile.channels.items() if channel.how is How.TIMESTAMP)
    yield from check_channel_clocks(stamps_ns, timed, now_ns=time.time_ns(), limit_s=profile.service.clock_limit_s)
    readbacks.close()
