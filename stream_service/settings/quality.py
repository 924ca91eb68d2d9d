"""Settings of the judgement of rows: of a profile live, of the options of `evaluate` offline."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stream_service.core.energies import TOLERANCE
from stream_service.settings.base import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class QualitySettings(Settings):
    """Score and gates; how a score comes about is in ADR 0026."""

    threshold: Share = 0.5
    """Rows with this score or more are rejected; the score of a row that a gate rejects is 1."""
    pca_k: Annotated[int, Field(ge=1, le=32)] = 12
    """Coordinates of the embedding of a frame (principal components) that are compared."""
    w_feat: Share = 0.5
    """Weight of the features in the score; the rest is that of the embedding."""
    max_saturated: Share = 0.01
    """Gate: share of the pixels of a frame that may be saturated."""
    energy_tolerance: Annotated[float, Field(gt=0)] = TOLERANCE
    """Gate: relative, off the energy that the request asks for, or off that of most rows where it asks for none."""
    min_ring_current_mA: Annotated[float, Field(ge=0)] = 0.0
    """Gate: rows taken with less are rejected, where the channel `ring_current` tells it; 0: none is."""
    shutter_open_when: float = 1.0
    """Gate: value of the channel `shutter` that means open; rows taken at another one are rejected."""
