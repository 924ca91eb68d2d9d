"""Errors of the daemon and its tools, split by who is at fault.

Every message is one or more plain sentences for the person who can do something about it: it names the
thing (field, PV, path), the value, the limit and what to do. One bad message from a sender is counted,
reported and skipped at the boundary; a failed write ends the run.
"""

from __future__ import annotations

from typing import ClassVar


class PtychostreamError(Exception):
    """Base of every error this project raises on purpose; its text can be shown to an operator as it is."""

    exit_code: ClassVar[int] = 1
    """Of a command that it ends: 2 where options or the profile are wrong, 1 where a file or the beamline is."""


class ConfigError(PtychostreamError):
    """The operator asked for something that cannot be: a wrong field, PV, path or option."""

    exit_code = 2


class InputFileError(ConfigError):
    """A file that the operator named beside the frames cannot be read, or is not what it should be."""

    exit_code = 1


class SourceError(PtychostreamError):
    """The sender broke its contract: a frame, message or input file that cannot be what it claims."""


class BadFrameError(SourceError):
    """A frame that cannot be used, but of which the id could be read: it was made."""

    def __init__(self, sentence: str, unique_id: int) -> None:
        super().__init__(sentence)
        self.unique_id = unique_id


class WriteError(PtychostreamError):
    """The disk or the output file failed; the run ends, what was flushed before stays readable."""


class OutputPathError(ConfigError, WriteError):
    """The operator named an output that cannot be made: it is there already, or its folder is not."""

    exit_code = 1


class OverrunError(PtychostreamError):
    """The daemon is too slow for what arrives, and a frame could neither be stored nor left to backfill."""


def in_words(error: BaseException) -> str:
    """What an error says to an operator; one that is none of ours is a defect of the service."""
    is_ours = isinstance(error, PtychostreamError)
    return str(error) if is_ours else f"a defect of the service, {type(error).__name__}: {error}"


def forget_frames(error: BaseException | None) -> None:
    """Let an error that is kept not keep the run and its arrays, by the frames of its traceback.

    A defect keeps its own: who asks for it looks for where it is.
    """
    while isinstance(error, PtychostreamError):
        error.__traceback__, error = None, error.__cause__ or error.__context__
    if isinstance(error, OSError):  # the last cause of an error of ours, which says what it was
        error.__traceback__ = None
