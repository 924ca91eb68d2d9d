"""Names of files that runs of other services have, which share the folder of journals: none of them may be taken.

A run has no file before its first frame, and none again for a moment when it goes on after a kill. Its journal is there
all the time.
"""

from __future__ import annotations

import glob
from pathlib import Path

from stream_service.errors import OutputPathError, SourceError
from stream_service.run.live.live_journal import SUFFIX, journal_folder
from stream_service.run.live.unfinished_run import UnfinishedRun
from stream_service.settings.profile import Profile


def refuse_taken_name(profile: Profile, scan_id: str, path: Path) -> None:
    """Raise `OutputPathError` if a run of another service that is not over has this file, or will have it."""
    own = journal_folder(profile)
    for journal in own.parent.glob(f"*/{glob.escape(scan_id)}-*{SUFFIX}"):
        if journal.parent == own:
            continue
        try:
            other = UnfinishedRun.read(journal)
            of_other = other.profile()
        except SourceError:  # one that is no journal is nobody's, and one of another version is told by its service
            continue
        if other.ended is None and other.file(of_other) == path:
            raise OutputPathError(
                f"{path} is that of a run of the service {of_other.service.prefix}, which is not over: choose another "
                f"scan_id (if that service is gone for good, remove {journal})"
            )
