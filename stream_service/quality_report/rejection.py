"""The choice of the rows to reject, by their scores: the worst so many, the worst fraction, or all from a score on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError
from stream_service.text.counted import counted


@dataclass(frozen=True, slots=True)
class Rejection:
    """Of the three at most one is given; without any the default threshold counts."""

    top_k: int | None = None
    top_fraction: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Raises `ConfigError`."""
        given = {"--reject-topk": self.top_k, "--reject-topp": self.top_fraction, "--reject-thresh": self.threshold}
        named = [option for option, value in given.items() if value is not None]
        if len(named) > 1:
            raise ConfigError(f"{' and '.join(named)} exclude each other: give one of them")
        if self.top_k is not None and self.top_k < 0:
            raise ConfigError(f"--reject-topk {self.top_k} must be 0 or more rows")
        for option in ("--reject-topp", "--reject-thresh"):
            value = given[option]
            if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
                raise ConfigError(f"{option} {value:g} must lie between 0 and 1")

    def rejected(
        self, score: npt.NDArray[np.float64], by_default: npt.NDArray[np.bool_], evaluated: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """True for the rows to reject among those evaluated; `by_default` if nothing else is asked for.

        Of equal scores the earlier row is taken for the worse.
        """
        if self.threshold is not None:
            return evaluated & (score >= self.threshold)
        n_worst = self._n_worst(int(np.count_nonzero(evaluated)))
        if n_worst is None:
            return evaluated & by_default
        rejected = np.zeros(len(score), bool)
        rows = np.flatnonzero(evaluated)
        rejected[rows[np.argsort(-score[rows], kind="stable")[:n_worst]]] = True
        return rejected

    def _n_worst(self, n_evaluated: int) -> int | None:
        if self.top_k is not None:
            return self.top_k
        return None if self.top_fraction is None else round(self.top_fraction * n_evaluated)

    def said(self, default_threshold: float) -> str:
        """The rule in words."""
        if self.top_k is not None:
            return f"the worst {counted(self.top_k, 'row')}"
        if self.top_fraction is not None:
            return f"the worst {100 * self.top_fraction:.3g} % of the rows"
        if self.threshold is not None:
            return f"score of {self.threshold:g} or more"
        return f"score of {default_threshold:g} or more, or a limit that is exceeded"
