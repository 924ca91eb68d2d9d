"""The pictures of the newest run for screens: its latest stored frame, and the maps of the scan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.publishers.pva_images import PvaImages
from stream_service.qc.maps import COM_X, COM_Y, INTENSITY, GrowingMap, ScanMap, scan_map
from stream_service.run.run import Run
from stream_service.run.run_rows import ShownRow
from stream_service.settings.status_table import ServiceImage

PERIOD_S = 0.5
MAPS_S = 1.0
"""A map of a large scan takes some 10 ms to draw."""
COLUMNS = {ServiceImage.STXM: INTENSITY, ServiceImage.DPC_X: COM_X, ServiceImage.DPC_Y: COM_Y}
"""Maps of what was measured, by the column of a run's table."""


class RunPictures:
    """Pictures of a run as last shown, so that only new ones are posted."""

    def __init__(self, images: PvaImages) -> None:
        self._images = images
        self._shown_s = self._maps_s = 0.0
        self._row: ShownRow | None = None
        self._shown_map = (0, 0)
        """Run and rows of them."""
        self._scores: npt.NDArray[np.float64] | None = None
        self._maps: dict[ServiceImage, GrowingMap] = {}

    def show(self, run: Run | None, now_s: float) -> None:
        """Post what is new of the run: its latest frame twice a second, its maps once."""
        self._images.make_room()
        if run is None or now_s - self._shown_s < PERIOD_S:
            return
        self._shown_s = now_s
        of_run = {"run": float(run.run_number)}
        shown = run.shown_row
        if shown is not None and shown is not self._row:
            self._row = shown
            self._images.post(ServiceImage.FRAME, shown.pixels, of_run | {"row": float(shown.row)})
        if now_s - self._maps_s < MAPS_S and not run.state.has_ended:
            return
        self._maps_s = now_s
        table = run.scan_table()
        if len(table) and (run.run_number, len(table)) != self._shown_map:
            self._show_maps(run.run_number, table, of_run)
        scores = run.score_table()
        if scores is not None and scores is not self._scores:
            self._scores = scores
            self._post(ServiceImage.SCORE, scan_map(*scores.T), of_run)

    def _show_maps(self, run_number: int, table: npt.NDArray[np.float64], of_run: dict[str, float]) -> None:
        if run_number != self._shown_map[0]:
            self._maps = {image: GrowingMap(column) for image, column in COLUMNS.items()}
        self._shown_map = (run_number, len(table))
        for image, growing in self._maps.items():
            drawn = growing.draw(table)
            if image is not ServiceImage.STXM:
                drawn.image[...] -= np.nanmedian(drawn.image) if np.isfinite(drawn.image).any() else 0
            self._post(image, drawn, of_run)

    def _post(self, image: ServiceImage, drawn: ScanMap, of_run: dict[str, float]) -> None:
        place = {"pixel_m": drawn.pixel_m, "x0_m": drawn.x0_m, "y0_m": drawn.y0_m}
        self._images.post(image, drawn.image, of_run | place)

    def close(self) -> None:
        """End the server of the images."""
        self._images.close()
