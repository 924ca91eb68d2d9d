"""A recorded scan, whatever kind of file it is in: its frames in order, and what is known beside them.

Every kind of recording (HDF5 of many layouts, TIFFs with a sidecar) is one implementation. What is recorded per frame
comes as the frame's attributes, exactly as NDAttributes come with a live frame; `rules` says which of them is which
channel. So pairing, and all that follows it, does not know where a frame came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import Frame
from stream_service.core.pairing.rule import ChannelRule

MOST_FRAMES = 10_000_000
"""Limit of a recording, so that no column of it can exhaust the memory."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers of a whole scan; NaN where the recording does not say."""

    energy_eV: float = math.nan
    det_dist_m: float = math.nan
    pixel_m: float = math.nan
    exposure_s: float = math.nan


Identities = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""uniqueIds of frames, and their stamps in nanoseconds of the Unix epoch; 0 for want of a stamp."""


class Recording(Protocol):
    """An open recording. Its constructor raises `SourceError` naming the file, what is missing and what to do."""

    path: Path
    """Named in messages."""
    layout: str
    """What kind of recording it is, in words for the log: `areaDetector (NDFileHDF5)`, `CXI (/entry_1)`."""
    title: str
    """The name of the scan; empty if the recording does not have it."""
    frame_shape: tuple[int, int]
    """Rows and columns of a frame as recorded."""
    dtype: np.dtype[Any]
    n_expected: int | None
    """Frames the scan should have, from `first_unique_id` on; None if the recording does not say."""
    n_exposed: int | None
    """Frames the detector made for certain, though they may be missing here; None if nothing tells."""
    first_unique_id: int
    """The uniqueId of the scan's first frame, as far as the recording tells."""
    has_timestamps: bool
    """False when `Frame.timestamp_ns` is 0 for want of a stamp; frames then are in the order they were taken."""
    facts: Facts
    rules: tuple[ChannelRule, ...]
    """How `x`, `y` and `energy` are found in a frame's attributes (`How.ATTRIBUTE`); without those it cannot tell."""
    is_on_sample: bool
    """True if x and y of `rules` are the beam on the sample; False if they are a stage's."""
    exposure_attribute: str
    """Name of the attribute with a frame's own exposure time in seconds; empty if there is none."""
    references: Mapping[str, npt.NDArray[Any]]
    """`dark`, `flat`, `mask` (y, x) in the axes of the frames, as far as they are there and not applied yet."""
    axis_signs: tuple[int, int] | None
    """+1 if rows (columns) of a recorded frame grow with +y (+x) of the beam on the sample, else -1; None: not said."""
    problems: Mapping[str, str]
    """By name of a number (`energy_eV`) or channel (`x`): why what is recorded of it cannot be taken, in a sentence."""
    notes: list[str]
    """Sentences the operator should read, such as a file that was not closed; may grow while frames are read."""

    @property
    def n_frames(self) -> int:
        """Frames that are there now; of a recording that is followed, so far."""
        ...

    @property
    def identities(self) -> Identities | None:
        """Those of all frames, in the order of `frames`; None while more may come."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Every frame once, in the order they were recorded; memory is bounded by one block of them.

        A frame of which the pixels cannot be read is an `UnreadableFrame`. Raises `SourceError`
        where nothing more can be read.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
