"""The NDAttributes of the last frame beside the PVs that stand behind them.

A frame may carry the frozen value of an earlier attributes file, or, for a misspelt PV, another attribute's; the camera
says that all is well then. Only the PV itself tells.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from stream_service.core.frame import NS_PER_S, AttributeValue
from stream_service.core.pairing.attributes import SAME_VALUE
from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import attribute_advice, counts_each_series
from stream_service.settings.profile import Profile

SETTLED_NS = NS_PER_S // 10
"""A PV that has not changed since this long before a frame was what its NDAttribute had to be."""


class Latest(NamedTuple):
    """The value of a PV now, and since when it has it."""

    value: float
    timestamp_ns: int


def check_attributes(
    profile: Profile, attributes: Mapping[str, AttributeValue], frame_ns: int, latest: Mapping[str, Latest]
) -> Iterator[Finding]:
    """Look at what the last frame carries, stamped `frame_ns`; `latest` has the PVs that answer, by channel."""
    for name, channel in profile.channels.items():
        if not channel.attribute:
            continue
        value, about = attributes.get(channel.attribute), f"channel {name}"
        if isinstance(value, int | float) and math.isfinite(value):
            said = f"NDAttribute {channel.attribute} = {value:g} {channel.unit}"
            if (stale := _is_stale(value, frame_ns, latest.get(name))) is not None:
                yield Finding("error", about, stale.format(attribute=channel.attribute, pv=channel.pv, value=value))
            elif not channel.pv:
                yield Finding("ok", about, f"{said}; with 'pv', the PV behind it, a stale one would be found")
            elif _changed_lately(frame_ns, latest.get(name)):
                hint = f"not compared: {channel.pv} changed shortly before the last frame; take one while it rests"
                yield Finding("ok", about, f"{said} ({hint})")
            else:
                yield Finding("ok", about, said)
        elif channel.attribute in attributes:
            text = f"the NDAttribute {channel.attribute} has no value: is the PV behind it connected?"
            yield Finding("error", about, text)
        else:
            yield Finding("error", about, _is_missing(profile, channel.attribute, attributes))
    own = profile.detector.exposure_attribute
    if own and own not in attributes:
        other = "; there is real_time" if counts_each_series(profile.detector.frames) else ""
        text = f"frames carry no {own}: exposure times are those of {profile.detector.exposure_pv}{other}"
        yield Finding("warning", "detector.exposure_attribute", text)


def check_attributes_of_series(profile: Profile) -> Iterator[Finding]:
    """Look at the attributes that a profile names while no frame has come, of a detector that has no NDAttributes."""
    if not counts_each_series(profile.detector.frames):
        return
    for name, channel in profile.channels.items():
        if channel.attribute:
            text = (
                f"{_is_missing(profile, channel.attribute)}; if that is one of them, take a frame while check listens"
            )
            yield Finding("error", f"channel {name}", text)


def _is_missing(profile: Profile, attribute: str, there: Collection[str] = ()) -> str:
    others = f" (there are: {', '.join(there)})" if there else ""
    return f"frames carry no NDAttribute {attribute}: {attribute_advice(profile.detector.frames)}{others}"


def _changed_lately(frame_ns: int, latest: Latest | None) -> bool:
    """True if a PV may have had another value when the driver asked for it."""
    return latest is not None and latest.timestamp_ns > frame_ns - SETTLED_NS


def _is_stale(value: float, frame_ns: int, latest: Latest | None) -> str | None:
    """The sentence to say, to be filled in; None if nothing is known to be wrong."""
    if latest is None or _changed_lately(frame_ns, latest) or not math.isfinite(latest.value):
        return None
    if math.isclose(value, latest.value, rel_tol=SAME_VALUE, abs_tol=1e-12):
        return None
    return (
        f"the last frame carries {{attribute}} = {{value:g}}, but {{pv}} was {latest.value:g} then and is it still: "
        "the NDAttribute is stale, or that of another PV. Correct the PV in the camera's attributes file, restart the "
        "IOC (a new file does not replace what old frames carried), and take a frame"
    )
