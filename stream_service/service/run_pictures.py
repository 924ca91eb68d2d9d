"""The pictures of the newest run for screens: its latest stored frame, and the map of the scan."""

from __future__ import annotations

from stream_service.publishers.pva_images import PvaImages
from stream_service.qc.maps import GrowingMap
from stream_service.run.run import Run
from stream_service.run.run_rows import ShownRow
from stream_service.settings.status_table import ServiceImage

PERIOD_S = 0.5


class RunPictures:
    """Pictures of a run as last shown, so that only new ones are posted."""

    def __init__(self, images: PvaImages) -> None:
        self._images = images
        self._shown_s = 0.0
        self._row: ShownRow | None = None
        self._shown_map = (0, 0)
        """Run and rows of it."""
        self._map = GrowingMap()

    def show(self, run: Run | None, now_s: float) -> None:
        """Post what is new of the run, twice a second."""
        self._images.make_room()
        if run is None or now_s - self._shown_s < PERIOD_S:
            return
        self._shown_s = now_s
        of_run = {"run": float(run.run_number)}
        shown = run.shown_row
        if shown is not None and shown is not self._row:
            self._row = shown
            self._images.post(ServiceImage.FRAME, shown.pixels, of_run | {"row": float(shown.row)})
        table = run.scan_table()
        if len(table) and (run.run_number, len(table)) != self._shown_map:
            if run.run_number != self._shown_map[0]:
                self._map = GrowingMap()
            self._shown_map = (run.run_number, len(table))
            stxm = self._map.draw(table)
            place = {"pixel_m": stxm.pixel_m, "x0_m": stxm.x0_m, "y0_m": stxm.y0_m}
            self._images.post(ServiceImage.STXM, stxm.image, of_run | place)

    def close(self) -> None:
        """End the server of the images."""
        self._images.close()
