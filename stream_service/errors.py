"""Errors of the daemon and its tools, split by who is at fault.

Every message is one or more plain sentences for the person who can do something about it: it names the
thing (field, PV, path), the value, the limit and what to do. One bad message from a sender is counted,
reported and skipped at the boundary; a failed write ends the run.
"""

from __future__ import annotations


class PtychostreamError(Exception):
    """Base of every error this project raises on purpose; its text can be shown to an operator as it is."""


class ConfigError(PtychostreamError):
    """The operator asked for something that cannot be: a wrong field, PV, path or option."""


class SourceError(PtychostreamError):
    """The sender broke its contract: a frame, message or input file that cannot be what it claims."""


class WriteError(PtychostreamError):
    """The disk or the output file failed; the run ends, what was flushed before stays readable."""


class OverrunError(PtychostreamError):
    """The daemon is too slow for what arrives, and a frame could neither be stored nor left to backfill."""
