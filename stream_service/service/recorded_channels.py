"""How the channels of a recording are paired: who is believed of those that say where x, y and energy are.

In this order: readbacks recorded apart (`--readbacks`); paths the operator gave; a recording that describes itself
(standard file, CXI, sidecar); the profile; well-known names in the recording. What was decided otherwise than the
profile says is told in a note.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from stream_service.config import PAIRED_CHANNELS, POSITION_CHANNELS, Profile, moving_channel
from stream_service.core.frame import AttributeValue
from stream_service.core.pairing import POSITION_TOLERANCE_M, ChannelRule, How
from stream_service.core.stage_map import StageMap
from stream_service.errors import SourceError
from stream_service.service.recorded_rows import row_attribute
from stream_service.sources.recorded_readbacks import RecordedReadbacks
from stream_service.sources.recording import Recording

ON_SAMPLE = StageMap(1.0, 0.0, 0.0, 1.0)
"""Positions are those of the beam on the sample already."""
MOST_NAMES = 30
"""Attributes of a frame that an error message lists."""


@dataclass(frozen=True, slots=True)
class RecordedChannels:
    """Rules for x, y and energy, and what turns x and y into the beam on the sample."""

    rules: tuple[ChannelRule, ...]
    """Energy is left out where one number for the whole scan is all there is."""
    stage_map: StageMap
    notes: tuple[str, ...] = field(default=())

    def has(self, name: str) -> bool:
        """True if there is a rule for this channel."""
        return any(rule.name == name for rule in self.rules)


def channels_of(
    recording: Recording,
    profile: Profile | None,
    readbacks: RecordedReadbacks | None,
    given: Collection[str],
    attributes: Mapping[str, AttributeValue],
) -> RecordedChannels:
    """Decide. `given` are the channels whose paths the operator gave, `attributes` those of the first frame.

    Raises `SourceError` if positions are nowhere to be found.
    """
    recorded = {rule.name: rule for rule in recording.rules}
    rules: dict[str, ChannelRule] = {}
    notes: list[str] = []
    from_recording: set[str] = set()
    for name in PAIRED_CHANNELS:
        if readbacks is not None and readbacks.has(name):
            rules[name] = _history_rule(name, readbacks, profile)
        elif readbacks is not None and readbacks.rows is not None and name in readbacks.rows.columns:
            rules[name] = ChannelRule(name, How.ATTRIBUTE, attribute=row_attribute(name))
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
    if missing := [name for name in POSITION_CHANNELS if name not in rules]:
        raise SourceError(_no_positions(recording, profile, missing, attributes))
    is_on_sample = recording.is_on_sample and from_recording.issuperset(POSITION_CHANNELS)
    if is_on_sample:
        stage_map = ON_SAMPLE
    elif profile is not None:
        stage_map = profile.to_stage_map()
    else:
        stage_map = ON_SAMPLE
        notes.append(
            "the recorded positions are taken as those of the beam on the sample; if they are a stage's, "
            "give a --profile, whose stage_map says which way the beam goes"
        )
    return RecordedChannels(tuple(rules.values()), stage_map, tuple(notes))


def _history_rule(name: str, readbacks: RecordedReadbacks, profile: Profile | None) -> ChannelRule:
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
    if profile is None:
        return rule
    channel = profile.channels[name]
    if channel.gap_s is not None:  # the profile says that silence of this length is rest
        rule = replace(rule, gap_s=channel.gap_s, is_sampled=False, rests_in_silence=True)
    return replace(rule, is_continuous=channel.continuous)


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
    asked = f" (the profile wants {', '.join(wanted)})" if wanted else ""
    return (
        f"{recording.path} ({recording.layout}) does not say where {' and '.join(missing)} are{asked}; recorded with "
        f"each frame: {there}. Give a --profile that names them, their paths, or --readbacks FILE"
    )
