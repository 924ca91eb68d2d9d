"""Pairing of the channels of a recording: the order of those that say where x, y and energy are.

In this order: readbacks recorded apart (`--readbacks`); arrays that hardware captured (`--arrays`); paths the operator
gave; a recording that describes itself (standard file, CXI, sidecar); the profile; well-known names in the recording.
What was decided otherwise than the profile says is told in a note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stream_service.core.exposure import POSITION_CHANNELS
from stream_service.core.frame import AttributeValue
from stream_service.core.pairing.rule import POSITION_TOLERANCE_M, ChannelRule, How
from stream_service.core.stage_map import StageMap
from stream_service.errors import SourceError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_rows import row_attribute
from stream_service.settings.profile import PAIRED_CHANNELS, Profile, moving_channel
from stream_service.sources.recording import Recording
from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks

ON_SAMPLE = StageMap(1.0, 0.0, 0.0, 1.0)
"""Positions are those of the beam on the sample already."""
NO_LINE_S = 1e-9
"""No two updates are as close: nothing is interpolated between them."""
MOST_NAMES = 30
"""Attributes of a frame that an error message lists."""


@dataclass(frozen=True, slots=True)
class RecordedChannels:
    """Rules for x, y and energy, and the map from x and y to the beam on the sample."""

    rules: tuple[ChannelRule, ...]
    """Energy is left out where one number for the whole scan is all there is."""
    stage_map: StageMap
    notes: tuple[str, ...] = field(default=())

    def has(self, name: str) -> bool:
        """True if there is a rule for this channel."""
        return any(rule.name == name for rule in self.rules)


def channels_of(
    recording: Recording,
    settings: IngestSettings,
    attributes: Mapping[str, AttributeValue],
    *,
    are_of_frames: bool = False,
) -> RecordedChannels:
    """Decide, by what the operator says; `attributes` are those of the first frame, and `are_of_frames` tells that the
    entries of the log are stamped as the frames are.

    Raises `SourceError` if positions are nowhere to be found.
    """
    profile, readbacks, given = settings.profile, settings.readbacks, settings.given
    recorded = {rule.name: rule for rule in recording.rules}
    rules: dict[str, ChannelRule] = {}
    notes: list[str] = []
    from_recording: set[str] = set()
    for name in PAIRED_CHANNELS:
        if readbacks is not None and readbacks.has(name):
            rules[name] = _history_rule(name, readbacks, profile, are_of_frames=are_of_frames)
        elif readbacks is not None and readbacks.rows is not None and name in readbacks.rows.columns:
            rules[name] = ChannelRule(name, How.ATTRIBUTE, attribute=row_attribute(name))
        elif profile is not None and any(array.channel == name for array in settings.arrays):
            rules[name] = next(rule for rule in profile.rules() if rule.name == name)
        elif name in recorded and (name in given or recording.is_on_sample or profile is None):
            rules[name] = recorded[name]
            from_recording.add(name)
        elif profile is not None and (rule := _profile_rule(name, profile, attributes)) is not None:
            rules[name] = rule
        elif name in recorded:
            rules[name] = recorded[name]
            from_recording.add(name)
            notes.append(
                f"{name} is '{recorded[name].attribute}' of each frame, the value when it was read out, because the "
                f"history that the profile wants is not here; --readbacks FILE gives it"
            )
    if math.isfinite(settings.facts.energy_eV) and (instead := rules.pop("energy", None)) is not None:
        notes.append(_energy_as_given(settings.facts.energy_eV, instead, attributes))
    if missing := [name for name in POSITION_CHANNELS if name not in rules]:
        raise SourceError(_no_positions(recording, profile, missing, attributes))
    is_on_sample = recording.is_on_sample and from_recording.issuperset(POSITION_CHANNELS)
    if settings.stage_map is not None:
        stage_map = settings.stage_map
        if is_on_sample:
            notes.append("the recorded positions are mapped by --stage-map, though the file calls them the beam's")
    elif is_on_sample:
        stage_map = ON_SAMPLE
    elif profile is not None:
        stage_map = profile.to_stage_map()
    else:
        stage_map = ON_SAMPLE
        notes.append(
            "the recorded positions are taken as those of the beam on the sample; if they are a stage's, "
            "give --stage-map, or a --profile whose stage_map says which way the beam goes"
        )
    return RecordedChannels(tuple(rules.values()), stage_map, tuple(notes))


def _energy_as_given(energy_eV: float, instead: ChannelRule, attributes: Mapping[str, AttributeValue]) -> str:
    said = f"the energy is {energy_eV:g} eV in every row, as --energy-eV says, and not that of each frame"
    first = attributes.get(instead.attribute) if instead.how is How.ATTRIBUTE else None
    return f"{said} ({first * instead.scale:g} eV in the first)" if isinstance(first, int | float) else said


def _history_rule(
    name: str, readbacks: RecordedReadbacks, profile: Profile | None, *, are_of_frames: bool
) -> ChannelRule:
    moving, history = moving_channel(name), readbacks.histories[name]
    rule = ChannelRule(
        name,
        How.TIMESTAMP,
        scale=history.scale,
        moving=moving if readbacks.has(moving) else "",
        is_sampled=history.is_sampled,
        rests_in_silence=not history.is_sampled or history.is_constant,
    )
    if name in POSITION_CHANNELS:
        tolerance_m = profile.position_tolerance_m if profile is not None else POSITION_TOLERANCE_M
        rule = replace(rule, tolerance=tolerance_m)
        if not rule.moving and are_of_frames:  # whatever else is said of it
            return replace(rule, gap_s=NO_LINE_S, is_sampled=True, rests_in_silence=history.is_constant)
    if profile is None:
        return rule
    channel = profile.channels[name]
    if channel.gap_s is not None:  # the profile says that silence of this length is rest
        rule = replace(rule, gap_s=channel.gap_s, is_sampled=False, rests_in_silence=True)
    return replace(rule, is_continuous=channel.continuous, over=channel.over)


def _profile_rule(name: str, profile: Profile, attributes: Mapping[str, AttributeValue]) -> ChannelRule | None:
    """The NDAttribute that the profile names, if the frames have it."""
    attribute = profile.channels[name].attribute
    if not attribute or attribute not in attributes:
        return None
    return ChannelRule(name, How.ATTRIBUTE, attribute=attribute, scale=profile.scale_of(name))


def _no_positions(
    recording: Recording, profile: Profile | None, missing: list[str], attributes: Mapping[str, AttributeValue]
) -> str:
    names = sorted(attributes)
    there = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "") or "nothing"
    wanted = [
        f"{name} = '{profile.channels[name].attribute}'"
        for name in missing
        if profile and profile.channels[name].attribute
    ]
    unusable = "".join(f": {recording.problems[name]}" for name in missing[:1] if name in recording.problems)
    asked = f" (the profile wants {', '.join(wanted)})" if wanted else ""
    return (
        f"{recording.path} ({recording.layout}) does not say where {' and '.join(missing)} are{asked}{unusable}; "
        f"recorded with each frame: {there}. Give a --profile that names them, their paths, or --readbacks FILE"
    )
