"""The pictures of the newest run for screens: its latest stored frame, and the maps of the scan."""

from __future__ import annotations

from operator import attrgetter

from stream_service.publishers.pva_images import PvaImages
from stream_service.qc.maps import GrowingMap, ScanMap
from stream_service.qc.scan_values import ScanValues
from stream_service.run.rows.latest_row import ShownRow
from stream_service.run.rows.score_table import Scores
from stream_service.run.run import Run
from stream_service.settings.status_table import ServiceImage

PERIOD_S = 0.5
MAPS_S = 1.0
"""A map of a large scan takes some 10 ms to draw."""
MAPS = {
    ServiceImage.STXM: attrgetter("stxm"),
    ServiceImage.DPC_X: attrgetter("dpc_x"),
    ServiceImage.DPC_Y: attrgetter("dpc_y"),
}


class RunPictures:
    """Pictures of a run as last shown, so that only new ones are posted."""

    def __init__(self, images: PvaImages) -> None:
        self._images = images
        self._shown_s = self._maps_s = 0.0
        self._row: ShownRow | None = None
        self._shown_map = (0, 0, False)
        """Run and rows of them, and whether it has ended."""
        self._scores: Scores | None = None
        self._score_map = (0, False), GrowingMap()
        """Run, whether it has ended, and its map."""
        self._maps: dict[ServiceImage, GrowingMap] = {}

    def show(self, run: Run | None, now_s: float) -> None:
        """Post what is new of the run: its latest frame twice a second, its maps once."""
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
        state = run.run_number, run.n_scanned, run.state.has_ended
        if run.n_scanned and state != self._shown_map and (values := run.scan_values()) is not None:
            self._show_maps(state, values, of_run)
        scores = run.scores()
        if scores is not None and scores is not self._scores:
            self._scores = scores
            self._show_scores((run.run_number, run.state.has_ended), scores, of_run)

    def _show_maps(self, state: tuple[int, int, bool], values: ScanValues, of_run: dict[str, float]) -> None:
        """Add the new rows to the maps; at the end they are drawn anew, as those of the file are."""
        run_number, _, has_ended = state
        if run_number != self._shown_map[0] or has_ended:
            self._maps = {image: GrowingMap() for image in MAPS}
        self._shown_map = state
        for image, growing in self._maps.items():
            value = MAPS[image](values)
            self._post(image, growing.draw(values.x_m, values.y_m, value.raw, value.usual), of_run)

    def _show_scores(self, state: tuple[int, bool], scores: Scores, of_run: dict[str, float]) -> None:
        if state != self._score_map[0]:
            self._score_map = state, GrowingMap()
        drawn = self._score_map[1].draw(*scores.table.T, n_final=scores.n_final)
        self._post(ServiceImage.SCORE, drawn, of_run)

    def _post(self, image: ServiceImage, drawn: ScanMap, of_run: dict[str, float]) -> None:
        place = {"pixel_m": drawn.pixel_m, "x0_m": drawn.x0_m, "y0_m": drawn.y0_m}
        self._images.post(image, drawn.image, of_run | place)
