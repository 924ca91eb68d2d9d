"""The name of a recorded scan: as asked for, as recorded, else that of the file it was read from."""

from __future__ import annotations

import re

from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.sources.recording import Recording

KINDS = re.compile(r"_(raw|std)$")
"""Endings that tell the files of one scan apart, as the service and the plans name them."""
IN_A_PATTERN = re.compile(r"\[[^\]]*\]|[*?]")


def scan_name(recording: Recording, settings: IngestSettings) -> str:
    """Never that of the output: copies and trials of one scan are one scan."""
    return settings.scan_id or recording.title or _of_file(recording)


def _of_file(recording: Recording) -> str:
    """`scan001` of `scan001_raw.h5` and of the pattern `scan001_*.tif`."""
    stem = IN_A_PATTERN.sub("", recording.path.stem).rstrip("_-. ")
    return KINDS.sub("", stem) or "scan"
