"""The choice of rows to reject by their scores."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.errors import ConfigError
from stream_service.quality_report.rejection import Rejection

SCORE = np.array([0.1, 0.9, 0.5, 0.9, np.nan, 0.4])
EVALUATED = np.isfinite(SCORE)
BY_DEFAULT = SCORE >= 0.5


def rejected(rejection: Rejection) -> list[int]:
    return np.flatnonzero(rejection.rejected(SCORE, BY_DEFAULT, EVALUATED)).tolist()


@pytest.mark.parametrize(
    ("rejection", "rows"),
    [
        (Rejection(), [1, 2, 3]),
        (Rejection(top_k=0), []),
        (Rejection(top_k=1), [1]),
        (Rejection(top_k=2), [1, 3]),
        (Rejection(top_k=99), [0, 1, 2, 3, 5]),
        (Rejection(top_fraction=0.4), [1, 3]),
        (Rejection(top_fraction=0), []),
        (Rejection(top_fraction=1), [0, 1, 2, 3, 5]),
        (Rejection(threshold=0.5), [1, 2, 3]),
        (Rejection(threshold=0.95), []),
    ],
)
def test_rows_that_were_not_evaluated_are_never_rejected(rejection: Rejection, rows: list[int]) -> None:
    assert rejected(rejection) == rows


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"top_k": 1, "top_fraction": 0.1}, "--reject-topk and --reject-topp exclude each other"),
        ({"top_k": 1, "threshold": 0.1}, "--reject-topk and --reject-thresh exclude each other"),
        ({"top_fraction": 0.0, "threshold": 0.1}, "--reject-topp and --reject-thresh exclude each other"),
        ({"top_k": -1}, "--reject-topk -1 must be 0 or more"),
        ({"top_fraction": 2}, "--reject-topp 2 must lie between 0 and 1"),
        ({"threshold": float("nan")}, "--reject-thresh nan must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Rejection(**wrong)  # type: ignore[arg-type]
