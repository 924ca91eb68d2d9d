"""A recorded scan as if it were live, without an IOC: the same run in the rhythm of the scan, and a file that grows.

For trying what follows a live file (PtyPy, screens, scripts) on known data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from stream_service.errors import ConfigError, SourceError
from stream_service.run.file_system import check_new_file
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_run import RecordedRun
from stream_service.run.recorded.recorded_scan import KINDS, RecordedScan, scan_name
from stream_service.run.recorded.recorded_setup import RecordedSetup
from stream_service.run.recorded.recorded_sources import as_recorded, at_rate
from stream_service.run.run_file import SUFFIX
from stream_service.settings.service_status import RunStatus
from stream_service.sources.recording import Recording
from stream_service.text.counted import counted

WITHOUT_STAMPS_HZ = 100.0
"""Rate of a recording that does not say when its frames were taken."""
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.\-]")


def replay(
    recording: Recording,
    folder: Path,
    settings: IngestSettings,
    *,
    rate_hz: float | None = None,
    speed: float = 1.0,
    on_progress: Callable[[RunStatus], None] = lambda status: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> RunStatus:
    """Feed the recording into a run that writes `<folder>/<name of the recording>_std.h5`; how the run ended.

    Of a file of a scan (`_std`, `_raw`) it is `<scan>_replay_std.h5`: its own name is that of the scan's file.
    `on_note` is given sentences as they come, but for those in the message of the run.

    Raises `ConfigError` or `SourceError` when it cannot begin, or the recording cannot be read to its end.
    """
    name = settings.scan_id or _name_of(recording.path)
    path = folder / f"{name}{SUFFIX}"
    check_new_file(path)
    scan = RecordedScan(recording, settings)
    for note in scan.notes():
        on_note(note)
    if rate_hz is None and not recording.has_timestamps:
        rate_hz = WITHOUT_STAMPS_HZ
    pauses = as_recorded(speed) if rate_hz is None else at_rate(rate_hz)
    recorded = RecordedRun(scan, RecordedSetup(scan, scan_name(recording, settings), path, is_live=True), pauses)
    n_told = 0

    def tell() -> None:
        nonlocal n_told
        on_progress(recorded.run.status())
        for note in recording.notes[n_told:]:
            on_note(note)
            n_told += 1

    try:
        recorded.work(tell)
    except (ConfigError, SourceError) as error:
        if not (rows := recorded.run.status().rows):
            raise
        kept = f"{path} keeps the {counted(rows, 'row')} before that, and is FAILED"
        raise type(error)(f"{error}; {kept}") from error
    tell()
    status = recorded.run.status()
    for note in recorded.closing_notes():
        if note not in status.message:
            on_note(note)
    return status


def _name_of(path: Path) -> str:
    return NOT_IN_A_NAME.sub("_", KINDS.sub("_replay", path.stem)).lstrip("._-") or "replay"
