"""All that the service shows over PVA: its status, and pictures and tables of its newest run."""

from __future__ import annotations

from stream_service.publishers.pva_images import PvaImages
from stream_service.publishers.pva_server import PvaServer
from stream_service.publishers.pva_status import PvaStatus
from stream_service.publishers.pva_tables import ReadbackTable
from stream_service.run.run import Run
from stream_service.service.run_news import RunNews
from stream_service.service.run_pictures import RunPictures
from stream_service.settings.service_status import ServiceStatus
from stream_service.settings.status_table import ServiceImage, ServiceTable


class PvaFace:
    """One server of them. Its methods are called by the main loop and wait for nobody."""

    def __init__(self, prefix: str, status: ServiceStatus, news: RunNews) -> None:
        self._status, self._news = PvaStatus(status), news
        images = PvaImages(ServiceImage)
        self._pictures = RunPictures(images)
        self._readbacks, self._readbacks_shown = ReadbackTable(), repr(())
        tables = {ServiceTable.VERDICTS: news.table.channel, ServiceTable.READBACKS: self._readbacks.channel}
        self._server = PvaServer(prefix, {**self._status.channels, **images.channels, **tables}, images.backlog)

    def publish(self, status: ServiceStatus) -> None:
        """Show the status."""
        self._status.publish(status)
        if (readbacks := repr(status.readbacks)) != self._readbacks_shown:  # NaN equals nothing
            self._readbacks_shown = readbacks
            self._readbacks.post(status.readbacks)

    def show(self, newest: Run | None, now_s: float) -> None:
        """Show what is new of the newest run."""
        self._server.make_room()
        self._pictures.show(newest, now_s)
        self._news.show(newest, now_s)

    def close(self) -> None:
        """End the server."""
        self._server.close()
