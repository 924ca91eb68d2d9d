"""A recorded scan in memory: a `Recording` without any file, for tests of what is made of recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.core.frame import AttributeValue, Frame
from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.errors import SourceError
from stream_service.sources.recording import Facts, Identities

START_NS = 1_795_218_868_000_000_000
PERIOD_NS = 10_000_000
ON_SAMPLE = tuple(ChannelRule(name, How.ATTRIBUTE, attribute=name) for name in ("x", "y", "energy"))
"""Attributes with the beam's position on the sample, in metres."""
STAGE = tuple(ChannelRule(name, How.ATTRIBUTE, attribute=f"pos{name}", scale=1e-6) for name in ("x", "y"))
"""Attributes with the stage's position, in micrometres."""


def frames_of(n: int, shape: tuple[int, int] = (6, 8)) -> np.ndarray[Any, Any]:
    """(n, y, x) counts around 40, the same every time."""
    return np.random.default_rng(4).poisson(40, (n, *shape)).astype(np.uint16)


def attributes_of(n: int, **more: Any) -> list[dict[str, Any]]:
    """Of n frames along a line, each at its own energy; `more` is added to every one."""
    return [{"x": 1e-6 * i, "y": -2e-6 * i, "energy": 700.0 + i, **more} for i in range(n)]


def at_one_place(attributes: list[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """The same, but k frames after each other lie where the first of them does."""
    return [one | {axis: attributes[i // k * k][axis] for axis in ("x", "y")} for i, one in enumerate(attributes)]


class MemoryRecording:
    """`frames` (n, y, x) with an attribute dict each; ids and stamps count up unless given."""

    def __init__(
        self,
        frames: np.ndarray[Any, Any],
        attributes: list[dict[str, AttributeValue]],
        *,
        ids: list[int] | None = None,
        stamps_ns: list[int] | None = None,
        rules: tuple[ChannelRule, ...] = ON_SAMPLE,
        is_on_sample: bool = True,
        facts: Facts = Facts(det_dist_m=0.1, pixel_m=1e-5, exposure_s=0.01),  # noqa: B008
        **changes: Any,
    ) -> None:
        self.path, self.layout, self.title = Path("scan.h5"), "in memory", ""
        self._frames, self._attributes = frames, attributes
        self._ids = list(range(1, len(frames) + 1)) if ids is None else ids
        self._stamps_ns = [START_NS + n * PERIOD_NS for n in self._ids] if stamps_ns is None else stamps_ns
        self.frame_shape, self.dtype = frames.shape[1:], frames.dtype
        self.n_expected: int | None = None
        self.n_exposed: int | None = None
        self.first_unique_id = self._ids[0] if self._ids else 0
        self.has_timestamps = True
        self.facts, self.rules, self.is_on_sample = facts, rules, is_on_sample
        self.exposure_attribute = "exposure"
        self.references: dict[str, np.ndarray[Any, Any]] = {}
        self.axis_signs = (1, 1)
        self.problems: dict[str, str] = {}
        self.notes: list[str] = []
        for name, value in changes.items():
            setattr(self, name, value)

    @property
    def n_frames(self) -> int:
        return len(self._frames)

    @property
    def identities(self) -> Identities | None:
        return np.array(self._ids, np.int64), np.array(self._stamps_ns, np.int64)

    def frames(self) -> Iterator[Frame]:
        for pixels, id, stamp_ns, attributes in zip(
            self._frames, self._ids, self._stamps_ns, self._attributes, strict=True
        ):
            yield Frame(id, stamp_ns, pixels, attributes)

    def close(self) -> None:
        pass

    def __enter__(self) -> MemoryRecording:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Breaking(MemoryRecording):
    """A recording of which the frames from the fourth on cannot be read."""

    def frames(self) -> Iterator[Frame]:
        for index, frame in enumerate(super().frames()):
            if index == 3:
                raise SourceError("frames 3 to 5 cannot be read")
            yield frame
