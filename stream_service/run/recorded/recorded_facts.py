"""The numbers of a recorded scan: the operator's come before the recorded ones, and those before the profile's.

What is said otherwise than it was taken is told in a note; what cannot be meant is refused, naming the option that
corrects it. A number that the operator gives is not held up by what is wrong with the recorded one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from stream_service.core.frame import AttributeValue
from stream_service.core.partition import ByPosition, Partition
from stream_service.core.plausibility import LIMITS, number_doubts
from stream_service.errors import ConfigError, SourceError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.sources.recording import Facts, Recording

SAME = 1e-6
"""Relative: numbers that differ by less are the same, rounded."""


def notes_on_facts(
    settings: IngestSettings, recording: Recording, attributes: Mapping[str, AttributeValue]
) -> Iterator[str]:
    """Notes on numbers: from where they are taken, if two sources differ or only the profile says them.

    `attributes` are those of the first frame.
    """
    exposure_s = attributes.get(recording.exposure_attribute)
    if isinstance(exposure_s, int | float) and _differ(settings.facts.exposure_s, exposure_s):
        yield (
            f"the exposure time is {settings.facts.exposure_s:g} s in every row, as --exposure-s says, and not that of "
            f"each frame ({exposure_s:g} s in the first)"
        )
    given, recorded, in_profile = (asdict(facts) for facts in (settings.facts, recording.facts, settings.in_profile))
    for name, limits in LIMITS.items():
        if math.isfinite(given[name]):
            said = f"{name} is {given[name]:g}, as {limits.option} says"
            if problem := recording.problems.get(name):
                yield f"{said}; {problem}"
            elif _differ(given[name], recorded[name]):
                yield f"{said}; recorded is {recorded[name]:g}"
        elif math.isfinite(recorded[name]):
            if _differ(recorded[name], in_profile[name]):
                yield (
                    f"{name} is {recorded[name]:g}, as recorded; the profile says {in_profile[name]:g}: if that is "
                    f"right, give {limits.option}"
                )
        elif math.isfinite(in_profile[name]):
            # worth a look, since profiles are copied
            yield f"{name} is {in_profile[name]:g}, as the profile says: it is neither recorded nor given"


def check_facts(settings: IngestSettings, recording: Recording, facts: Facts, *, has_energy: bool) -> None:
    """Raise `SourceError` for a number that is missing or cannot be meant, `ConfigError` if the operator gave it.

    `has_energy`: each frame has its own, and need not have been read.
    """
    numbers, given = asdict(facts), asdict(settings.facts)
    unknown = [name for name in LIMITS if math.isnan(numbers[name]) and not (name == "energy_eV" and has_energy)]
    for name in unknown:
        if problem := recording.problems.get(name):
            raise SourceError(f"{problem}; or give the right {LIMITS[name].option}")
    if missing := [LIMITS[name].option for name in unknown if name != "exposure_s"]:
        raise SourceError(
            f"{recording.path} ({recording.layout}) does not say all that is needed: give {', '.join(missing)}, "
            "or a --profile that says so"
        )
    for doubt in number_doubts(numbers):
        limits = LIMITS[doubt.name]
        if not doubt.is_impossible:
            continue
        if math.isfinite(given[doubt.name]):
            raise ConfigError(f"{limits.option} {given[doubt.name]:g} cannot be: it {doubt.message}")
        raise SourceError(f"{recording.path}: {doubt.name} {doubt.message} Give the right one: {limits.option}")


def check_names_of_frames(recording: Recording, settings: IngestSettings, partition: Partition) -> None:
    """Raise `ConfigError` for an id, a group or a rejected position beyond those of the recording."""
    n_frames, first_id, last_id = recording.n_frames, recording.first_unique_id, None
    if recording.identities is not None and len(recording.identities[0]):
        last_id = int(recording.identities[0].max())
    if settings.first_unique_id is not None:
        first_id = settings.first_unique_id
        if last_id is not None and first_id > last_id:
            raise ConfigError(
                f"--first-id {first_id}: {recording.path} has no frame of this or a later uniqueId; the last is "
                f"{last_id}"
            )
        if first_id > recording.first_unique_id:
            raise ConfigError(
                f"--first-id {first_id}: {recording.path} begins with uniqueId {recording.first_unique_id}, before it: "
                "give the uniqueId of the scan's first frame, or leave it out"
            )
    if isinstance(partition, ByPosition):
        _check_grouping(settings, partition)
        return
    span = 0 if last_id is None else last_id - first_id + 1  # ids that are missing have their places
    n_places = max(n_frames, recording.n_expected or 0, span)
    if partition.frames_per_row > n_places:
        raise ConfigError(
            f"--frames-per-pos {partition.frames_per_row}: {recording.path} has {n_frames} frames, so no position has "
            "so many"
        )
    n_positions = partition.n_begun(n_places)
    if beyond := sorted(position for position in settings.rejected if position >= n_positions):
        named = ", ".join(map(str, beyond[:5])) + (", ..." if len(beyond) > 5 else "")
        raise ConfigError(
            f"--reject-json names position {named}, but {recording.path} has {n_positions} positions, 0 to "
            f"{n_positions - 1}: is the list that of another scan, or one of frames?"
        )


def _check_grouping(settings: IngestSettings, partition: ByPosition) -> None:
    if partition.frames_per_row == 1:
        raise ConfigError(
            "--group-by position needs --frames-per-pos, the most frames that a position may have: with 1 every frame "
            "is a row of its own, as with --group-by index"
        )
    if settings.arrays:
        raise ConfigError(
            "--group-by position needs the position of each frame when it is read, and --arrays gives them at the end: "
            "group by index"
        )
    if settings.rejected:
        raise ConfigError(
            "--reject-json names positions by their number, which --group-by position knows only once all rows are "
            "made: ingest without it, and leave the rows out by `ptychostream evaluate`"
        )


def _differ(one: float, other: float) -> bool:
    return math.isfinite(one) and math.isfinite(other) and not math.isclose(one, other, rel_tol=SAME)
