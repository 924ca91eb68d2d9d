"""Two services with one data root: a scan id that one of them has a run of is refused by the other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted_run import profile_for

from stream_service.core.stream import Begin
from stream_service.errors import OutputPathError
from stream_service.run.live.live_journal import LiveJournal
from stream_service.run.live.live_settings import file_path
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.live.taken_names import refuse_taken_name
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import NO_RUN

REQUEST = ScanRequest(scan_id="scan", n_positions=10)


def service(folder: Path, prefix: str) -> Profile:
    profile = profile_for(folder)
    return profile.model_copy(update={"service": profile.service.model_copy(update={"prefix": prefix})})


def armed(profile: Profile) -> LiveJournal:
    """The journal of a run that has no file yet."""
    journal = LiveJournal(profile, REQUEST)
    journal.armed(Begin(first_unique_id=1))
    journal.numbered(1)
    return journal


def look(profile: Profile, **changes: str) -> None:
    request = REQUEST.model_copy(update=changes)
    refuse_taken_name(profile, request.scan_id, file_path(profile, request))


def test_scan_id_of_a_run_of_another_service_is_refused_until_it_is_over(tmp_path: Path) -> None:
    """Its first frame has not come, or its service was killed and will go on."""
    journal = armed(service(tmp_path, "ONE:"))
    with pytest.raises(OutputPathError, match=r"scan_std\.h5 is that of a run of the service ONE:, which is not over"):
        LiveSetup(service(tmp_path, "TWO:"), REQUEST, SimpleNamespace()).check_place()  # type: ignore[arg-type]
    look(service(tmp_path, "TWO:"), scan_id="other")
    look(service(tmp_path, "TWO:"), path="elsewhere")
    look(service(tmp_path, "ONE:"))
    journal.ended(NO_RUN)
    look(service(tmp_path, "TWO:"))


def test_rubbish_among_the_journals_refuses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".ptychostream" / "ONE%3A"
    folder.mkdir(parents=True)
    (folder / "scan-1.jsonl").write_bytes(b"\xff no journal\n")
    (folder / "scan-2.jsonl").mkdir()
    (folder / "scan-3.jsonl").symlink_to("nowhere")
    look(service(tmp_path, "TWO:"))
