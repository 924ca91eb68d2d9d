"""The last run of a service, as it ended: who follows it by its PVs is told by the service that is started again.

A service may be killed when its run has just ended, before who waits for that end has heard of it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stream_service.errors import PtychostreamError
from stream_service.output_file import whole_file
from stream_service.settings.service_status import RunStatus

log = logging.getLogger(__name__)

NAME = "last_run.json"
MOST_BYTES = 1 << 20
STATUS = TypeAdapter(RunStatus)


def write_last_run(folder: Path, status: RunStatus) -> None:
    """Keep how a run has ended, unless a later one has; a failure is logged."""
    last = read_last_run(folder)
    if last is not None and last.run_number > status.run_number:
        return
    try:
        with whole_file(folder / NAME, replace=True) as unfinished:
            unfinished.write_text(json.dumps(asdict(status)))  # pydantic would make a null of NaN
    except (OSError, PtychostreamError) as error:
        log.warning("the end of %s is not told by a service that is started again: %s", status.scan_id, error)


def read_last_run(folder: Path) -> RunStatus | None:
    """The last run of before; None if there is none, or what is kept of it cannot be read."""
    try:
        with (folder / NAME).open("rb") as file:
            status = STATUS.validate_json(file.read(MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be read: %s", folder / NAME, error)
        return None
    return status if status.state.has_ended else None
