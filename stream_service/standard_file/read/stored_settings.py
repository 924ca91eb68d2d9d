"""Settings with which a standard file was made, as far as its rows are evaluated by them."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import ValidationError

from stream_service.core.frame import FrameTime
from stream_service.settings.profile import FrameTimeSettings
from stream_service.settings.quality import QualitySettings


class StoredSettings:
    """What `/entry/process/settings` says; what is not there, or is of another version, is as if nobody had said it."""

    def __init__(self, document: Any) -> None:
        self._document = document

    @classmethod
    def read(cls, text: str) -> Self:
        """Of a text, which need not be JSON."""
        try:
            return cls(json.loads(text))
        except ValueError:
            return cls(None)

    def quality(self, **given: Any) -> QualitySettings:
        """Those of the profile; `given` ones come before."""
        try:
            return QualitySettings.model_validate({**(self._at("profile", "quality") or {}), **given})
        except (ValidationError, TypeError):
            return QualitySettings.model_validate(given)

    @property
    def frame_time(self) -> FrameTime:
        """Meaning of the stamps of frames."""
        try:
            return FrameTimeSettings.model_validate(self._at("profile", "detector", "frame_time") or {}).to_core()
        except ValidationError:
            return FrameTime()

    @property
    def energy_eV(self) -> float | None:
        """Photon energy that was asked for."""
        asked = self._at("request", "energy_eV")
        return float(asked) if isinstance(asked, int | float) and 0 < asked < float("inf") else None

    def _at(self, *names: str) -> Any:
        found = self._document
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found
