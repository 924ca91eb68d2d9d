"""Maps on the screens at the end of a run are those that an evaluation of its file draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from corpus import Message
from evaluated_scans import evaluated
from scripted_run import Bench, profile_for

from stream_service.core.run import RunState
from stream_service.qc.maps import ScanMap, scan_map
from stream_service.service.run_pictures import RunPictures
from stream_service.settings.channel_settings import ChannelSettings
from stream_service.settings.status_table import ServiceImage
from stream_service.standard_file import RowVerdicts, apply_verdicts, paths, validate_file

SIDE, SHAPE = 9, (24, 20)
LOST = 40
"""A row whose position is no number."""
DARK = 12


class Screens:
    """The latest of each image."""

    def __init__(self) -> None:
        self.shown: dict[str, ScanMap] = {}

    def make_room(self) -> None:
        """There is room."""

    def post(self, name: str, image: np.ndarray[Any, Any], attributes: dict[str, float]) -> None:
        if "pixel_m" in attributes:
            self.shown[name] = ScanMap(image, *(attributes[key] for key in ("pixel_m", "x0_m", "y0_m")))


def frame(row: int) -> list[Any]:
    """A spot that wanders over the frame as the beam goes over the sample."""
    slow, fast = divmod(row, SIDE)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 300 * np.exp(-((y - 11 - 0.3 * slow) ** 2 + (x - 9 - 0.2 * fast) ** 2) / 12) * (1 + 0.02 * row)
    message = Message(unique_id=row + 1, nanoseconds=(row + 1) * 1_000_000)
    counts = np.random.default_rng(row).poisson(light if row != DARK else 0 * light)
    message.pixels, message.sizes = counts.astype(np.uint16).reshape(-1), [SHAPE[1], SHAPE[0]]
    x_um = float("nan") if row == LOST else 0.5 * fast
    message.attributes = [("posx", x_um), ("posy", 0.5 * slow), ("energy", 700.0)]
    return [message.build()]


def bench_of(folder: Path, axis_signs: tuple[int, int] = (1, 1)) -> Bench:
    """Positions come with the frames."""
    usual = profile_for(folder)
    axes = {
        name: ChannelSettings.model_validate({"how": "attribute", "attribute": f"pos{name}", "unit": "um"})
        for name in "xy"
    }
    detector = usual.detector.model_copy(update={"axis_signs": axis_signs})
    profile = {"channels": usual.channels | axes, "detector": detector}
    return Bench(folder, at_rest={"ring_current": 200.0}, profile=profile, n_positions=SIDE**2)


@pytest.mark.parametrize("axis_signs", [(1, 1), (-1, 1), (1, -1)])
def test_live_maps_at_the_end_are_those_of_the_file(tmp_path: Path, axis_signs: tuple[int, int]) -> None:
    bench = bench_of(tmp_path, axis_signs)
    screens: Any = Screens()
    pictures, looks = RunPictures(screens), iter(range(10, 1000, 10))
    look = lambda: pictures.show(bench.run, next(looks))  # noqa: E731
    frames = [frame(row) for row in range(SIDE**2)]
    script = [bench.exposed(SIDE**2)]
    for first in range(0, SIDE**2, 20):
        script += [*frames[first : first + 20], *bench.settles(), look]
    run = bench.play(*script, bench.detector_stops)
    assert run.state is RunState.COMPLETE, run.message
    on_the_way = dict(screens.shown)
    look()

    found = evaluated(run.setup.path)
    x_m, y_m = found.numbers["x_m"], found.numbers["y_m"]
    assert np.isnan(x_m[LOST]) and np.isnan(found.dpc_x[DARK])
    for image, values in (
        (ServiceImage.STXM, found.stxm),
        (ServiceImage.DPC_X, found.dpc_x),
        (ServiceImage.DPC_Y, found.dpc_y),
        (ServiceImage.SCORE, found.score),
    ):
        drawn, live = scan_map(x_m, y_m, values), screens.shown[image]
        assert image in on_the_way or image is ServiceImage.SCORE, "while it went on"
        assert (live.pixel_m, live.x0_m, live.y0_m) == (drawn.pixel_m, drawn.x0_m, drawn.y0_m)
        np.testing.assert_allclose(live.image, drawn.image, rtol=1e-6, atol=1e-6)
    slope_x, slope_y = (
        float(np.nanmean(np.diff(screens.shown[image].image, axis=axis)))
        for image, axis in ((ServiceImage.DPC_X, 1), (ServiceImage.DPC_Y, 0))
    )
    # the stage moves the sample: the beam goes to -x where the spot goes to larger columns
    assert (np.sign(slope_y), np.sign(slope_x)) == (-axis_signs[0], -axis_signs[1])


def test_row_that_the_run_left_out_stays_out_and_is_not_tagged(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    bench.play(bench.exposed(SIDE**2), *[frame(row) for row in range(SIDE**2)], bench.detector_stops)
    path, found = bench.run.setup.path, evaluated(bench.run.setup.path)
    assert {LOST, DARK} <= set(found.reject_indices.tolist())
    for _ in range(2):
        apply_verdicts(path, RowVerdicts(found.score, found.rejected, found.evaluated))
        with h5py.File(path) as file:
            keep, tags, score = (np.asarray(file[place]) for place in (paths.KEEP, paths.TAGS, paths.SCORE))
        assert np.flatnonzero(keep == 0).tolist() == found.reject_indices.tolist()
        assert np.flatnonzero(tags).tolist() == [row for row in found.reject_indices.tolist() if row != LOST]
        assert score[LOST] == 1
    assert [finding for finding in validate_file(path) if finding.level == "error"] == []
    np.testing.assert_array_equal(evaluated(path).score, found.score)
