"""Which runs a service takes up again that one before it has left, in which order, and which take no more frames."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from limits import HANG_S
from scripted_run import profile_for

from stream_service.core.run import EndReason, RunState
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.run.live.live_journal import LiveJournal, journal_folder
from stream_service.run.live.unfinished_run import UnfinishedRun
from stream_service.service.unfinished_runs import UnfinishedRuns
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest

BEGIN = Begin(first_unique_id=5, last_before=(4, 17), is_counted=True)


def left(profile: Profile, scan_id: str, number: int | None, *, is_auto: bool = False) -> LiveJournal:
    """The journal of a run that was left."""
    journal = LiveJournal(profile, ScanRequest(scan_id=scan_id, n_positions=10), is_auto=is_auto)
    journal.armed(BEGIN)
    if number is not None:
        journal.numbered(number)
    return journal


class Service:
    """It takes up what it is told to; its beamline may not answer."""

    def __init__(self, profile: Profile, refusal: str = "") -> None:
        self.refusal = refusal
        self.asked: list[tuple[str, str]] = []
        self.taken: list[int | None] = []
        self._decided = threading.Event()
        self.runs = UnfinishedRuns(profile, self._make, lambda _, number: self.taken.append(number), self._decided.set)

    def _make(self, unfinished: UnfinishedRun, over_because: str) -> Any:
        self.asked.append((unfinished.scan_id, over_because))
        if self.refusal:
            raise SourceError(self.refusal)
        return Armable()

    def decide(self) -> None:
        """Let the next one be tried."""
        self._decided.clear()
        self.runs.look()
        assert self._decided.wait(HANG_S)
        self.runs.look()


class Armable:
    """A run that is armed at once."""

    message = ""

    def arm(self, cancellation: object) -> None:
        """Done."""


def test_they_go_on_one_after_the_other_the_oldest_first_under_their_numbers(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    left(profile, "z_first", 3)
    left(profile, "a_second", 4).drains(EndReason.STOPPED, 7)
    service = Service(profile)
    service.runs.find()
    assert (service.runs.highest_number, service.runs.is_working) == (4, True)
    status = service.runs.status
    assert status is not None and (status.scan_id, status.run_number, status.state) == (
        "a_second",
        4,
        RunState.DRAINING,
    )
    service.decide()
    service.decide()
    assert service.asked == [("z_first", ""), ("a_second", "")]
    assert service.taken == [3, 4] and not service.runs.is_working and service.runs.status is None


def test_run_whose_arming_was_never_answered_is_none(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    left(profile, "unanswered", None)
    service = Service(profile)
    service.runs.find()
    assert not service.runs.is_working and list(journal_folder(profile).iterdir()) == []


def test_run_of_auto_mode_that_has_no_number_yet_goes_on(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    journal = LiveJournal(profile, ScanRequest(scan_id="auto"), is_auto=True)
    journal.armed(BEGIN)
    assert not journal_folder(profile).exists()
    journal._create()  # as with its first frame
    service = Service(profile)
    service.runs.find()
    service.decide()
    assert service.asked == [("auto", "")] and service.taken == [None]


def test_journal_that_cannot_be_read_is_put_aside_and_hides_no_other(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    left(profile, "good", 2)
    broken = journal_folder(profile) / "broken-1.jsonl"
    broken.write_bytes(b'{"kind": "numbered", "number": 1}\n')
    (journal_folder(profile) / "notes.txt").write_text("of somebody else")
    service = Service(profile)
    service.runs.find()
    assert not broken.exists() and broken.with_name("broken-1.jsonl.unreadable").exists()
    service.decide()
    assert service.taken == [2]


def test_journals_of_another_service_are_left_alone(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    other = profile.model_copy(update={"service": profile.service.model_copy(update={"prefix": "OTHER:"})})
    left(other, "theirs", 2)
    service = Service(profile)
    service.runs.find()
    assert not service.runs.is_working and len(list(journal_folder(other).iterdir())) == 1


def test_run_takes_no_more_frames_when_its_service_was_away_for_too_long(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    left(profile, "old", 1)
    (journal,) = journal_folder(profile).iterdir()
    long_ago_s = time.time() - 2 * profile.service.resume_s
    os.utime(journal, (long_ago_s, long_ago_s))
    service = Service(profile)
    service.runs.find()
    service.decide()
    assert service.asked[0][1].startswith("it takes no more frames: the service was away for 1")


def test_run_takes_no_more_frames_when_the_profile_was_changed(tmp_path: Path) -> None:
    profile = profile_for(tmp_path)
    left(profile, "other", 1)
    service = Service(profile.model_copy(update={"beamline": "another"}))
    service.runs.find()
    service.decide()
    assert service.asked == [
        ("other", "it takes no more frames, since the profile was changed while the service was away")
    ]


def test_beamline_that_does_not_answer_is_tried_again_and_given_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_service.service.unfinished_runs.RETRY_S", 0.0)
    profile = profile_for(tmp_path)
    left(profile, "waits", 1)
    service = Service(profile, "no answer from SIM:X")
    service.runs.find()
    service.decide()
    status = service.runs.status
    assert status is not None and "no answer from SIM:X" in status.message
    service.runs._since_s = -profile.service.gone_s  # it has been silent for as long as that
    service.decide()
    service.refusal = ""
    service.decide()
    assert [why for _, why in service.asked] == ["", "", "it takes no more frames: no answer from SIM:X"]
    assert service.taken == [1]
