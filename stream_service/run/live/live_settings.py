"""Settings of a live run: what the profile says, and what a request has of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.core.pairing.rule import How
from stream_service.core.partition import ByPosition, Partition
from stream_service.core.share import Share
from stream_service.errors import ConfigError
from stream_service.kernels import Corrections, FlatKind
from stream_service.run.rules import RunRules
from stream_service.run.run_file import SUFFIX
from stream_service.run.settings import RunSettings, partition_of
from stream_service.settings.preprocessing import References
from stream_service.settings.profile import Profile, moving_channel
from stream_service.settings.request import ScanRequest
from stream_service.sources.tables.references import Reference, check_place
from stream_service.standard_file import ChannelColumn

SAME_EXPOSURE = 1e-3
"""Relative: times that differ by less are the same."""
OF_THE_REQUEST = ("gaps", "flat_is", "group_by")
"""Settings of preprocessing that a request may override."""
CONFIRMATION_S = 0.2
"""See `RunRules.confirmation_s`: frames come many a second, the counter is asked over the network."""


def live_rules(profile: Profile) -> RunRules:
    """Pairing and time-outs of every run of a profile."""
    service, frame_time = profile.service, profile.detector.frame_time
    file_timeout_s = profile.arrays_file.timeout_s if profile.datasets_of_file else 0.0
    return RunRules(
        channels=profile.rules(),
        frame_time=frame_time.to_core(),
        clock_limit_s=service.clock_limit_s,
        frame_delay_s=frame_time.delay_s,
        pairing_timeout_s=service.pairing_timeout_s,
        entries_timeout_s=max(service.pairing_timeout_s, file_timeout_s),
        confirmation_s=CONFIRMATION_S,
        grace_s=service.grace_s,
        drain_s=service.drain_s,
        gone_s=service.gone_s,
        armed_timeout_s=service.armed_timeout_s,
        raw_file_s=profile.raw_file.timeout_s,
    )


def live_settings(
    profile: Profile, request: ScanRequest, corrections: Corrections, about_references: tuple[str, ...]
) -> RunSettings:
    """Resolve them; `profile` is that `with_references` of the request, from which the corrections were made."""
    preprocessing = profile.preprocessing
    partition, n_rows = partition_and_rows(profile, request)
    return RunSettings(
        scan_id=request.scan_id,
        preprocessing=preprocessing,
        corrections=corrections,
        stage_map=profile.to_stage_map(),
        partition=partition,
        rows_per_position=request.frames_per_position // partition.frames_per_row,
        n_positions=request.n_positions,
        n_extra_frames=request.extra_frames,
        n_rows_expected=n_rows,
        det_dist_m=profile.detector.distance_m,
        pixel_m=profile.detector.pixel_m,
        axis_signs=profile.detector.axis_signs,
        channels=readback_columns(profile),
        optics=profile.optics.model_dump(mode="json"),
        sample=request.sample,
        planned_m=planned_of(request),
        quality=profile.quality,
        frame_time=profile.detector.frame_time.to_core(),
        energy_eV=request.energy_eV,
        about_references=about_references,
        record={
            "profile": profile.model_dump(mode="json"),
            "request": request.model_dump(mode="json", exclude={"planned_x_m", "planned_y_m"}),  # see /entry/planned
        },
    )


def partition_and_rows(profile: Profile, request: ScanRequest) -> tuple[Partition, int | None]:
    """Which frames are a row, and how many rows may come (None: not known); see `live_settings`."""
    preprocessing, stage_map = profile.preprocessing, profile.to_stage_map()
    partition = partition_of(preprocessing, request.frames_per_position, stage_map, planned_of(request))
    n_planned = request.n_planned_frames
    if n_planned is None or isinstance(partition, ByPosition):
        return partition, None
    n_frames = Share(profile.detector.shards).n_among(n_planned + request.extra_frames)
    return partition, partition.n_filled(n_frames)


def planned_of(request: ScanRequest) -> npt.NDArray[np.float64] | None:
    """(N, 2) planned positions of the beam on the sample; None if they are not known."""
    return np.column_stack([request.planned_x_m, request.planned_y_m]) if request.planned_x_m else None


def readback_columns(profile: Profile) -> tuple[ChannelColumn, ...]:
    """The channels whose history is recorded: every PV of the profile but arrays, and the motion of its axes."""
    columns = []
    for name, channel in profile.channels.items():
        if channel.pv and channel.how is not How.INDEX:
            columns.append(ChannelColumn(name, channel.unit))
        if channel.moving:
            columns.append(ChannelColumn(moving_channel(name), "1 = moving"))
    return tuple(columns)


def file_path(profile: Profile, request: ScanRequest) -> Path:
    """Path of the standard file of a request."""
    return profile.service.data_root / request.path / f"{request.scan_id}{SUFFIX}"


def with_references(profile: Profile, request: ScanRequest) -> Profile:
    """The profile with what a scan has of its own: its references, what is said of their pixels, and by what its
    frames are grouped."""
    given = {name: value for name in OF_THE_REQUEST if (value := getattr(request, name)) is not None}
    if given:
        preprocessing = profile.preprocessing.model_copy(update=given)
        profile = profile.model_copy(update={"preprocessing": preprocessing})
    if request.references is None:
        return profile
    root = profile.service.data_root
    own = {kind: str(root / name) for kind, name in request.references.model_dump(exclude_none=True).items()}
    return profile.model_copy(update={"references": profile.references.model_copy(update=own)})


def with_arrays_file(profile: Profile, request: ScanRequest) -> Profile:
    """The profile with the name of the file in which the arrays of this scan are, as its IOC has it."""
    settings = profile.arrays_file
    update = {"path": request.arrays_file or settings.path_of(request.scan_id, request.path)}
    if request.arrays_file:
        update["pv"] = ""
    return profile.model_copy(update={"arrays_file": settings.model_copy(update=update)})


def check_places(profile: Profile, request: ScanRequest) -> None:
    """Raise `ConfigError` for a reference of a request that lies where no request may read.

    `profile` names the references of this request already; its own are the operator's, and may be anywhere.
    """
    requested = request.references.model_dump(exclude_none=True) if request.references else {}
    for kind in requested:
        location = profile.references.model_dump()[kind]
        check_place(location, kind, (profile.service.data_root, *profile.service.reference_roots))


def check_exposures(
    references: References, found: Mapping[str, Reference], exposure_s: float, flat_is: FlatKind = "raw"
) -> None:
    """Raise `ConfigError` for a dark or flat that says it was taken with another exposure time than this (seconds).

    A flat that is normalised fits every exposure time.
    """
    for kind, location in (("dark", references.dark), ("flat", references.flat if flat_is == "raw" else None)):
        taken_s = found[kind].exposure_s if location else math.nan
        if math.isfinite(taken_s) and not math.isclose(taken_s, exposure_s, rel_tol=SAME_EXPOSURE):
            raise ConfigError(
                f"the {kind} {location} was taken with {taken_s:g} s, the scan takes {exposure_s:g} s: "
                "give it one of its own exposure time (the plan dark_flat takes them)"
            )
