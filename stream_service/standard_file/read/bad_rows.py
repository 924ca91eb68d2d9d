"""Rows of a standard file that are bad by their verdicts: one decision for all who show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def judged_bad(
    score: npt.NDArray[np.float64], gates: npt.NDArray[Any], tags: npt.NDArray[Any] | None, threshold: float
) -> npt.NDArray[np.bool_]:
    """(n,) True for rows that are rejected for their quality.

    `tags`, if the file has them, are the last word, by `evaluate --apply`; else it is what the run found: a gate, or a
    `threshold` of the score that was reached. A row without a verdict, NaN, is not bad.
    """
    return tags != 0 if tags is not None else (gates != 0) | (score >= threshold)
