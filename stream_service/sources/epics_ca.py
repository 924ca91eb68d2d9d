"""The one place that imports pyepics: p4p and pyepics must share one set of EPICS libraries."""

from __future__ import annotations

# isort: off
import epicscorelibs.path.pyepics  # noqa: F401  (before `epics`: makes pyepics load the libraries that p4p uses)
import epics
from epics import ca
# isort: on

INVALID_ALARM = 3
CONNECTION_TIMEOUT_S = 5.0
CA_FAILURES = (ca.ChannelAccessException, ca.ChannelAccessGetFailure, ca.CASeverityException)
"""What pyepics raises when a PV goes away while it is asked."""


def attach_thread() -> None:
    """Let the calling thread use the CA context of the process; needed once in every thread that reads PVs."""
    ca.use_initial_context()


__all__ = ["CA_FAILURES", "CONNECTION_TIMEOUT_S", "INVALID_ALARM", "attach_thread", "ca", "epics"]
