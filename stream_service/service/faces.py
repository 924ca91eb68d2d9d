"""Faces of the service beside its CA server, which takes its orders: PVA, messages, metrics, reports, systemd.

The main loop calls them and waits for none. What a step of theirs raises is for the main loop to tell.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from stream_service.publishers.metrics import Metrics
from stream_service.publishers.zmq_messages import ZmqMessages
from stream_service.run.run import Run
from stream_service.service.pva_face import PvaFace
from stream_service.service.reports import RunReports
from stream_service.service.run_news import RunNews
from stream_service.service.systemd import Systemd
from stream_service.settings.frames import MiB
from stream_service.settings.profile import ServiceSettings
from stream_service.settings.service_status import RunStatus, ServiceStatus


class Faces:
    """Those that the profile asks for."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.news = RunNews()
        self.reports = RunReports()
        self.systemd = Systemd()
        self._settings = settings
        self._metrics = Metrics(settings.frame_queue_MiB * MiB)
        self._pva: PvaFace | None = None

    def take_ports(self) -> None:
        """Listen at the ports of the profile. Raises `ConfigError` naming the one that cannot be had."""
        if address := self._settings.messages:
            self.news.send_by(ZmqMessages(address))
        if port := self._settings.metrics_port:
            self._metrics.serve_at(self._settings.metrics_address, port)

    def start(self, status: ServiceStatus) -> None:
        """Serve over PVA from now on, the first client this status."""
        self._pva = PvaFace(self._settings.prefix, status, self.news)

    def resumed(self, before: RunStatus, run: Run) -> None:
        """The run goes on from here: what it counted before is not counted again."""
        self._metrics.resumed(replace(before, run_number=run.run_number))

    def began(self, run: Run, earlier: Sequence[Run]) -> None:
        """A run goes on from here under its number; those before it count to their end."""
        self._metrics.note(each.status() for each in earlier)
        self.news.began(run)
        if self._settings.report:
            self.reports.watch(run)

    def publish(self, status: ServiceStatus, runs: Sequence[Run]) -> None:
        """Show the status; `runs` are all that may have changed."""
        if self._pva is not None:
            self._pva.publish(status)
        self._metrics.show(status, (run.status() for run in runs))
        run = status.run
        scan = f" {run.scan_id}" if run.scan_id else ""
        self.systemd.say(f"{run.state}{scan}: {run.message}", time.monotonic())

    def show(self, newest: Run | None) -> None:
        """Show the pictures and tables of the newest run."""
        if self._pva is not None:
            self._pva.show(newest, time.monotonic())

    def close(self) -> None:
        """End all but the reports, which are ended with the runs."""
        if self._pva is not None:
            self._pva.close()
        self.news.close()
        self._metrics.close()
        self.systemd.close()
