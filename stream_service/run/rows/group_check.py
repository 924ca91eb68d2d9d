"""A number of frames a position that the positions contradict: it ends an ingest before a long file is written."""

from __future__ import annotations

from pathlib import Path
from statistics import median_low

from stream_service.core.spread import SpreadJudge
from stream_service.errors import ConfigError
from stream_service.settings.preprocessing import Preprocessing

JUDGED_GROUPS = 12
"""After so many groups it is plain whether the number is right."""


def check_groups(spread: SpreadJudge, preprocessing: Preprocessing, path: Path) -> None:
    """Raise `ConfigError` if most groups so far are not at a single position, unless that is allowed."""
    if preprocessing.allow_spread or not spread.is_plainly_wrong:
        return
    visits = spread.visits()
    given, likely = preprocessing.frames_per_position, median_low(visits)
    do = "add up" if preprocessing.grouping == "sum" else "average"
    better = f"--frames-per-pos {likely}" if likely != given else "the right --frames-per-pos"
    raise ConfigError(
        f"{path}: the first {sum(visits)} frames lie at {len(visits)} places one after the other; --frames-per-pos "
        f"{given} would {do} frames up to {spread.widest_m * 1e6:.3g} um apart: give {better}, or --allow-spread if a "
        "row may be a stretch of the path"
    )
