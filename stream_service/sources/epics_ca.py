"""The one place that imports pyepics: p4p and pyepics must share one set of EPICS libraries."""

from __future__ import annotations

# isort: off
import epicscorelibs.path.pyepics  # noqa: F401  (before `epics`: makes pyepics load the libraries that p4p uses)
import epics
from epics import ca
# isort: on

INVALID_ALARM = 3
CONNECTION_TIMEOUT_S = 5.0

__all__ = ["CONNECTION_TIMEOUT_S", "INVALID_ALARM", "ca", "epics"]
