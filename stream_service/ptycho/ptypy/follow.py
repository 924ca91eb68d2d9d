"""`reconstruct --follow`: PtyPy reads the file while the daemon writes it, and never waits for what will not come.

PtyPy's SwmrLoader knows neither that a run was aborted nor that its writer died: it would wait for ever. So the run is
watched beside it. Once it has ended PtyPy gets a little time to take the last rows and to finish; if the file then
holds anything that it has not seen (rejected or missing rows, a mask that grew), or if it has done fewer iterations
than were asked for, it goes on from where it was with the file as it is, now closed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.ptycho.ptypy.followed_rows import FollowedRows, stored_mask, what_is_unseen
from stream_service.ptycho.ptypy.ptypy_run import Iteration, PtypyRun
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.recipe import FEWEST_ROWS, check_scan, recipe_text
from stream_service.ptycho.ptypy.recipe_settings import Start
from stream_service.ptycho.ptypy.reconstruct import (
    Listener,
    Outcome,
    Request,
    kept_positions_xy_m,
    publish,
    reconstruct,
    watch,
)
from stream_service.ptycho.ptypy.run_watch import RunWatch, Timeouts
from stream_service.ptycho.scan_file import ScanFile
from stream_service.text.counted import counted

AFTER_END = 4
"""Iterations that PtyPy does at once when the last row is in: new rows need a few to settle, and people wait."""
FINISH_S = 60.0
"""What PtyPy gets for them, and for reading the last rows; an iteration on large frames takes seconds."""


@dataclass(frozen=True, slots=True)
class Followed:
    """End of a followed reconstruction."""

    outcome: Outcome
    is_complete: bool
    """The run is COMPLETE."""
    sentence: str
    """What became of the run, and whether PtyPy saw all of it."""


def follow(request: Request, listener: Listener, timeouts: Timeouts | None = None) -> Followed:
    """Reconstruct a scan while it runs; `request.data` need not be there yet.

    Raises as `reconstruct` does, and `SourceError` if no file comes or a run has left too few rows.
    """
    watched = RunWatch(request.data, timeouts or Timeouts(), request.choices.also)
    watched.wait_for_rows(1, listener.note)
    scan = request.choices.read_scan(request.data)
    if not scan.has_ended:
        check_scan(scan, follow=True)
        if (n_rows := request.choices.rows_for_probe(scan)) > scan.n_rows:
            watched.wait_for_rows(n_rows, listener.note)
            scan = request.choices.read_scan(request.data)
    if scan.has_ended:
        watched.wait_for_end()  # it may have ended since the last look
        sentence = watched.what_became()
        listener.note(f"there is nothing to follow: {sentence}")
        return Followed(reconstruct(request, listener), scan.state == "COMPLETE", sentence)
    mask = stored_mask(scan)
    along = _PtypyAlong(request, listener)
    seen, latest = along.run(scan, watched)
    watched.wait_for_end()
    scan = request.choices.read_scan(request.data)
    sentence = watched.what_became()
    if scan.n_kept < FEWEST_ROWS:
        raise SourceError(f"{sentence}; {scan.n_kept} rows to use are too few for a reconstruction")
    unseen = what_is_unseen(scan, seen, mask)
    sentence += "" if unseen else "; PtyPy saw every row of it while it ran"
    n_left = request.settings.iterations - (0 if unseen else along.n_iterations)
    if n_left > 0 or latest is None:
        why = f": {unseen}" if unseen else ""
        listener.note(f"going on for {counted(n_left, 'iteration')} with the file as it is now{why}")
        start = Start(latest, same_rows=not unseen) if latest is not None else None
        settings = replace(request.settings, iterations=n_left)
        outcome = reconstruct(replace(request, settings=settings), listener, start)
    else:
        outcome = publish(request, scan, Ptyr.read(latest), (sentence,))
    return Followed(outcome, scan.state == "COMPLETE", sentence)


class _PtypyAlong:
    """PtyPy beside the run, until it has all rows or there is nothing to wait for; counts its iterations."""

    def __init__(self, request: Request, listener: Listener) -> None:
        self._request, self._listener = request, listener
        self.n_iterations = 0

    def note(self, text: str) -> None:
        self._listener.note(text)

    def iteration(self, done: Iteration) -> None:
        self.n_iterations += 1
        self._listener.iteration(done)

    def image(self, present: Ptyr, positions_xy_m: npt.NDArray[np.float64]) -> None:
        self._listener.image(present, positions_xy_m)

    def run(self, scan: ScanFile, watched: RunWatch) -> tuple[FollowedRows | None, Path | None]:
        """The rows that PtyPy saw (None if it did not get to the end), and its latest state, if it has any."""
        request = self._request
        output = request.output(scan, ".follow")
        settings = replace(request.settings, iterations=AFTER_END, n_polish=0)
        illumination = request.choices.illumination(scan, request.folder, output.run)
        for remark in illumination.remarks:
            self.note(remark)
        recipe = recipe_text(scan, settings, illumination, output, follow=True)
        with PtypyRun(request.python, recipe, output) as run:
            ended_at: float | None = None
            while run.is_running:
                watch(run, self, lambda: kept_positions_xy_m(watched.look() or scan))
                now = watched.look()
                if now is not None and now.has_ended:
                    ended_at = ended_at or time.monotonic()
                    if now.n_rows != scan.n_rows_expected or time.monotonic() - ended_at > FINISH_S:
                        break  # PtyPy would wait for the rest for ever
                if watched.writer_is_silent:
                    break
            if not run.is_running:
                return FollowedRows.noted(output.folder), run.result()
            run.end()
            return None, run.latest
