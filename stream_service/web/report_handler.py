"""Reports of runs, as they lie below the data root: files of that name and no others, to be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from stream_service.run_report.report_path import REPORT_END

MOST_BYTES = 64 << 20
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:; "
    "sandbox allow-scripts allow-popups"
)
"""A report is a file that others may have put there: what is in it gets nothing, and is not this page."""


class ReportHandler(RequestHandler):
    """`report/<path>`, the path being one below the data root."""

    def initialize(self, root: Callable[[], Path]) -> None:
        """`root` gives the data root of now."""
        self._root = root

    async def get(self, path: str) -> None:
        """The report; 404 for anything else."""
        content = await IOLoop.current().run_in_executor(None, report_at, self._root(), path)
        if content is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-cache")
        await self.finish(content)


def report_at(root: Path, path: str) -> bytes | None:
    """Content of a report; None if there is none, or it leads out of the root, by whatever links."""
    try:
        real_root = Path(os.path.realpath(root))
        real = Path(os.path.realpath(real_root / path))
        if not (real.is_relative_to(real_root) and path.endswith(REPORT_END) and real.name.endswith(REPORT_END)):
            return None
        if not real.is_file() or real.stat().st_size > MOST_BYTES:
            return None
        return real.read_bytes()
    except (OSError, ValueError):
        return None
