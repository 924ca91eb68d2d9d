"""Settings of the times of an array that hardware captures: they tell which entry is that of which frame."""

from __future__ import annotations

from typing import Any, Self

from pydantic import field_validator, model_validator

from stream_service.settings.base import Settings
from stream_service.text.units import SECONDS

TIMES = "_times"
"""Ends the name under which the times of an array are followed."""


class ArrayTimes(Settings):
    """When each entry was captured, from any moment on (PandA's PCAP.TS_TRIG.Value). In the profile also as a text
    alone: a dataset, where it begins with `/`, or else a PV."""

    pv: str = ""
    """The PV, as that of the array itself: needed where that has one."""
    dataset: str = ""
    """The dataset beside that of the array: needed where that has one."""
    unit: str = "s"
    """s, ms, us or ns."""

    @model_validator(mode="before")
    @classmethod
    def _take_text(cls, given: Any) -> Any:
        return {"dataset" if given.startswith("/") else "pv": given} if isinstance(given, str) else given

    @field_validator("unit")
    @classmethod
    def _is_one_of_time(cls, unit: str) -> str:
        if unit not in SECONDS:
            raise ValueError(f"unit {unit!r} of times must be one of {', '.join(SECONDS.usual)}")
        return unit

    @property
    def scale_s(self) -> float:
        """Factor to seconds."""
        return SECONDS.factor(self.unit) or 1.0

    def check_beside(self, pv: str, dataset: str) -> Self:
        """They are where the array is, with this `pv` and `dataset`. Raises `ValueError`."""
        for field, of_array, own in (("pv", pv, self.pv), ("dataset", dataset, self.dataset)):
            if bool(of_array) != bool(own):
                words = f"needs {field!r}, as the array has one" if of_array else f"has {field!r}, and the array none"
                raise ValueError(f"'times' {words}: the times of its entries come the same way as the array")
        return self


def times_channel(name: str) -> str:
    """The name under which the times of the array of channel `name` are followed."""
    return name + TIMES
