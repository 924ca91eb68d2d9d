"""Rows of a live run that cannot be made, or not be told apart: said by `check`, and before the first frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from stream_service.core.exposure import POSITION_CHANNELS
from stream_service.core.pairing.rule import How
from stream_service.core.spread import STANDSTILL_M
from stream_service.errors import ConfigError
from stream_service.run.live.check_finding import Finding, problem_of
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.text.validation_messages import explain

ABOUT = "grouping"
"""Of findings."""


def check_grouping(profile: Profile, request: ScanRequest) -> None:
    """Raise `ConfigError` where `group_by: position` cannot be done, or makes no sense.

    `profile` says by what rows are grouped in the run of this request.
    """
    if not profile.is_grouped_by_position:
        return
    try:
        Profile.model_validate(profile.model_dump(mode="json"))
    except ValidationError as error:
        raise ConfigError(f"the run cannot be grouped by position:\n{explain(error, Profile)}") from error
    if request.extra_frames:
        raise ConfigError(
            f"extra_frames = {request.extra_frames} are reserved for repeats, which are told by their place in the "
            "run; with group_by: position leave them out: a position that is returned to is a row of its own"
        )
    if request.frames_per_position == 1:
        raise ConfigError(
            "group_by: position needs frames_per_position, the most frames that a position may have: with 1 every "
            "frame is a row of its own, as with group_by: index"
        )


def check_shares(profile: Profile, request: ScanRequest) -> None:
    """Raise `ConfigError` where rows or repeats would need frames that other services get."""
    n_shares = profile.detector.shards
    if n_shares == 1:
        return
    if profile.is_grouped_by_position:
        raise ConfigError(
            f"detector.shards: {n_shares} of the profile: the frames of a position go to different services, so with "
            "group_by: position none can make its row: take one frame at each position, and group_by: index"
        )
    if profile.preprocessing.grouping != "none" and request.frames_per_position > 1:
        raise ConfigError(
            f"detector.shards: {n_shares} of the profile: the frames of a position go to different services, so none "
            f"can make a row of {request.frames_per_position}: take one frame at each position, or grouping: none"
        )
    if request.extra_frames:
        raise ConfigError(
            f"detector.shards: {n_shares} of the profile: a repeat goes to whichever service is next, and not to that "
            "with the row it replaces: leave extra_frames out"
        )


def grouping_findings(profile: Profile) -> Iterator[Finding]:
    """What can be said of the profile alone: of a run that is armed with what it says, and of any run."""

    def refusal(check: Callable[[Profile, ScanRequest], None], k: int) -> str:
        request = ScanRequest(scan_id="check").model_copy(update={"frames_per_position": k})
        return problem_of(lambda: check(profile, request))

    for check in (check_grouping, check_shares):
        if not (text := refusal(check, profile.preprocessing.frames_per_position)):
            continue
        if profile.service.auto or all(refusal(check, k) for k in (1, 2)):
            yield Finding("error", ABOUT, text)
        else:
            yield Finding("warning", ABOUT, f"runs whose request does not give frames_per_position are refused: {text}")
    for text in grouping_doubts(profile, None):
        yield Finding("warning", ABOUT, text)


def grouping_doubts(profile: Profile, planned_m: npt.NDArray[np.float64] | None) -> Iterator[str]:
    """What rows by position cannot tell apart in this run, in sentences; `planned_m` (N, 2) are the positions."""
    if not profile.is_grouped_by_position:
        return
    names = [name for name in POSITION_CHANNELS if profile.channels[name].how is How.ATTRIBUTE]
    if names:
        yield (
            f"{' and '.join(names)}: NDAttributes do not tell whether the stage stood, so frames that are exposed in a "
            "move cannot be told from others: each is a row of its own (how: timestamp tells)"
        )
    if planned_m is not None and len(planned_m) > 1:
        steps_m = np.hypot(*np.diff(planned_m, axis=0).T)
        close = int(steps_m.argmin())
        if steps_m[close] <= STANDSTILL_M:
            yield (
                f"planned positions {close} and {close + 1} are {steps_m[close] * 1e9:.3g} nm apart, which readbacks "
                f"of a stage at rest do not tell apart ({STANDSTILL_M * 1e9:.0f} nm): such neighbours are one row"
            )
