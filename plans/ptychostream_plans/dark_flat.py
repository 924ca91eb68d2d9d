"""`dark_flat`: references for each exposure time, the median of many frames with the shutter closed, and open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import DetectorSetup, PtychoDetector
from ptychostream_devices.shutter import Shutter
from ptychostream_plans.queueable import queueable
from ptychostream_plans.references import ReferenceConditions, median_frame, write_references
from ptychostream_plans.stubs import check_raw_file
from stream_service.text.names_of_now import name_of_now


@queueable
def dark_flat(
    detector: PtychoDetector,
    shutter: Shutter,
    *,
    exposures_s: Sequence[float],
    folder: str,
    n_frames: int = 20,
    flat: bool = False,
    move_sample_out: Callable[[], MsgGenerator[Any]] | None = None,
    name: str | None = None,
    path: str = "",
    md: CustomPlanMetadata | None = None,
) -> MsgGenerator[list[str]]:
    """Take darks, and flats if asked, one reference file for each exposure time.

    A scan is given such a file by `references={"dark": file}`, and refuses one that was taken with another exposure
    time, gain or readout region. The shutter ends as it was, also if the plan is aborted.

    Parameters
    ----------
    detector : PtychoDetector
        Takes the frames; they are read back from its raw file, so this machine must see that.
    shutter : Shutter
        Closed for darks, open for flats.
    exposures_s : sequence of float
        Exposure times of the scans to come.
    folder : str
        Where the reference files go.
    n_frames : int
        Frames of each dark and flat; the reference is their median.
    flat : bool
        Take flats, too: with the beam, without the sample.
    move_sample_out : callable, optional
        Gives a plan that moves the sample out of the beam, before the flats.
    name : str, optional
        Begins the names of the files. The time, if not given.
    path : str
        Folder of the raw files below the root of the detector.
    md : dict, optional
        More metadata for the runs.

    Returns
    -------
    files : list of str
        The reference files, in the order of the exposure times.
    """
    if n_frames < 1:
        raise ValueError(f"n_frames is {n_frames}; a median needs at least one frame")
    name = name or name_of_now("references")
    files = [Path(folder) / f"{name}_{1e3 * exposure_s:g}ms.h5" for exposure_s in exposures_s]
    if len(set(files)) < len(files):
        raise ValueError(f"exposures_s has an exposure time twice: {list(exposures_s)}")
    for file in files:
        if file.exists():
            raise FileExistsError(f"{file} exists already: choose another name, or move the file away")
    images: list[dict[str, np.ndarray[Any, Any]]] = [{} for _ in files]

    def series(kind: str) -> MsgGenerator[None]:
        for image, exposure_s in zip(images, exposures_s, strict=True):
            raw_name = f"{name}_{kind}_{1e3 * exposure_s:g}ms_raw"
            start = {"plan_name": "dark_flat", "reference": kind, "exposure_s": exposure_s, **(md or {})}
            raw_file = yield from _take(detector, DetectorSetup(exposure_s, n_frames, raw_name, path), start)
            image[kind] = median_frame(Path(raw_file), n_frames)

    def taken() -> MsgGenerator[None]:
        yield from bps.mv(shutter, "closed")
        yield from series("dark")
        if flat:
            if move_sample_out is not None:
                yield from move_sample_out()
            yield from bps.mv(shutter, "open")
            yield from series("flat")

    yield from bps.null()
    before = shutter.position
    yield from bpp.finalize_wrapper(taken(), lambda: bps.mv(shutter, before))
    for file, exposure_s, image in zip(files, exposures_s, images, strict=True):
        facts = {"n_frames": n_frames, "detector": detector.name, "taken": datetime.now().astimezone().isoformat()}
        write_references(file, ReferenceConditions.of(detector, exposure_s), image, facts)
    return [str(file) for file in files]


def _take(detector: PtychoDetector, setup: DetectorSetup, start: dict[str, Any]) -> MsgGenerator[str]:
    """One run of one trigger; gives the path of its raw file."""
    exposed: Any = detector
    raw_file = detector.raw_file(setup)
    assert raw_file is not None, "the setup names it"
    yield from bps.prepare(exposed, setup, group="detector", wait=True)

    def exposures() -> MsgGenerator[None]:
        yield from bps.trigger_and_read([exposed])
        yield from check_raw_file(detector, setup.frames_per_trigger)

    yield from bpp.stage_wrapper(bpp.run_wrapper(exposures(), md=start), [exposed])
    return raw_file
