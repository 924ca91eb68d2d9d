"""A run whose service was killed, as its journal tells of it. What is wrong with a journal is a sentence."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from stream_service.core.epoch import Epoch, Reached
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.pairing.readback import Unheard
from stream_service.errors import SourceError
from stream_service.run.live import journal_lines as lines
from stream_service.run.live.journal_file import MOST_BYTES
from stream_service.run.live.live_journal import SUFFIX, journal_folder
from stream_service.run.live.live_settings import file_path
from stream_service.settings.profile import Profile
from stream_service.text.validation_messages import explain


@dataclass(slots=True)
class UnfinishedRun:
    """What its journal says."""

    path: Path
    """Of the journal."""
    armed: lines.Armed
    number: int | None = None
    """Of the run in its service; None if who armed it was never answered."""
    began: lines.Began | None = None
    is_gap: npt.NDArray[np.bool_] | None = None
    """(y, x) raw pixels that do not measure."""
    knows_gaps: bool = False
    arrays_before: dict[str, Held] = field(default_factory=dict)
    """See `Past`."""
    epochs: list[Epoch] = field(default_factory=list)
    """Empty if none was told: there is the first alone."""
    n_announced: int = 0
    reached: Reached | None = None
    """See `Past`."""
    unheard: list[Unheard] = field(default_factory=list)
    """See `Past`."""
    is_saturated: npt.NDArray[np.bool_] | None = None
    """(ny, nx) stored pixels that have saturated; None: none has."""
    knows_saturated: bool = True
    """False if more have since."""
    repeats: tuple[int, ...] = ()
    drains: lines.Drains | None = None
    ended: lines.Ended | None = None

    @classmethod
    def read(cls, path: Path) -> UnfinishedRun:
        """Read a journal; a last line that was not written to its end counts as not written. Raises `SourceError`."""
        try:
            with path.open("rb") as file:
                text = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise SourceError(f"the journal {path} cannot be read: {error.strerror}") from error
        if len(text) > MOST_BYTES:
            raise SourceError(f"the journal {path} has more than {MOST_BYTES} bytes: it is none")
        try:
            told = [lines.LINE.validate_python(_parsed(line)) for line in text.split(b"\n")[:-1]]
            if not told or not isinstance(told[0], lines.Armed):
                raise ValueError("it does not begin with the arming of a run")
            unfinished = cls(path, told[0])
            for line in told[1:]:
                unfinished._take(line)
        except ValidationError as error:
            raise SourceError(f"the journal {path} is not whole:\n{explain(error)}") from error
        except (ValueError, RecursionError) as error:
            raise SourceError(f"the journal {path} is not whole: {error}") from error
        return unfinished

    @property
    def scan_id(self) -> str:
        return self.armed.request.scan_id

    def file(self, profile: Profile) -> Path:
        """Of the run."""
        return file_path(profile, self.armed.request)

    def is_of(self, profile: Profile) -> bool:
        """True if the profile is the one with which it was armed."""
        return json.dumps(profile.model_dump(mode="json"), sort_keys=True) == json.dumps(
            self.armed.profile, sort_keys=True
        )

    def profile(self) -> Profile:
        """That with which it was armed. Raises `SourceError` if it is none by now."""
        try:
            return Profile.model_validate(self.armed.profile)
        except ValidationError as error:
            raise SourceError(
                f"the profile in {self.path} is none of this version:\n{explain(error, Profile)}"
            ) from error

    def away_s(self, profile: Profile, now_s: float | None = None) -> float:
        """For how long nothing was written of it, by the clock of its files."""
        last_s = -math.inf
        for path in (self.path, self.file(profile)):
            try:
                last_s = max(last_s, path.stat().st_mtime)
            except OSError:
                continue
        return (time.time() if now_s is None else now_s) - last_s

    def _take(self, line: lines.Line) -> None:
        match line:
            case lines.Numbered():
                self.number = line.number
            case lines.Began():
                self.began = line
            case lines.FoundGaps():
                self.is_gap, self.knows_gaps = self._gaps(line.bits), True
            case lines.Saturated():
                if line.bits is None:
                    self.knows_saturated = False
                    return
                is_new = lines.unpacked(line.bits, line.shape)
                if self.is_saturated is not None and self.is_saturated.shape != is_new.shape:
                    raise ValueError("saturated pixels are of frames of another shape")
                self.is_saturated = is_new if self.is_saturated is None else self.is_saturated | is_new
            case lines.NotHeard():
                self.unheard += line.to_core()
            case lines.ArraysBefore():
                self.arrays_before = line.to_core()
            case lines.Counted():
                if line.first > len(self.epochs):
                    raise ValueError(f"epoch {line.first} follows none")
                self.epochs[line.first :] = line.to_core()
                self.n_announced = line.n_announced
                if not self.epochs or any(a.first_ordinal > b.first_ordinal for a, b in pairwise(self.epochs)):
                    raise ValueError("the epochs have no order")
            case lines.Received():
                self.reached = line.to_core()
            case lines.Repeats():
                self.repeats = line.positions
            case lines.Drains():
                self.drains = line
            case lines.Ended():
                self.ended = line
            case _:
                pass

    def _gaps(self, bits: str | None) -> npt.NDArray[np.bool_] | None:
        if bits is None:
            return None
        if self.began is None:
            raise ValueError("there are gaps of frames of which nothing is known")
        return lines.unpacked(bits, self.began.raw_shape)


def unfinished_journals(profile: Profile) -> list[Path]:
    """The journals that a service of this profile has left behind, the oldest first."""
    found = (path for path in journal_folder(profile).glob(f"*{SUFFIX}") if path.is_file())
    return sorted(found, key=_armed_ns)


def _armed_ns(path: Path) -> tuple[int, str]:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 20 else 0, path.name


def _parsed(line: bytes) -> object:
    return json.loads(line)
