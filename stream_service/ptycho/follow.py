"""`reconstruct --follow`: PtyPy reads the file while the daemon writes it, and never waits for what will not come.

PtyPy's SwmrLoader knows neither that a run was aborted nor that its writer died: it would wait for ever. So this
watches `/entry/run` beside it. Once the run has ended PtyPy gets a little time to take the last rows and to finish; if
the file then holds anything that it has not seen (rejected or missing rows, a mask that grew), or if it has done fewer
iterations than were asked for, it goes on from where it was with the file as it is, now closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.ptycho.ptypy_run import Iteration, PtypyRun
from stream_service.ptycho.ptyr import Ptyr
from stream_service.ptycho.recipe import FEWEST_ROWS, Output, Start, check_scan, recipe_text
from stream_service.ptycho.reconstruct import Listener, Outcome, Request, publish, reconstruct, watch
from stream_service.ptycho.scan_file import ScanFile, open_standard_file
from stream_service.writer.contents import dataset_at, number_in, text_in
from stream_service.writer.entry_tree import END_REASON, HEARTBEAT

AFTER_END = (3, 5)
"""Iterations of the engine, then of ML, that PtyPy does at once when the last row is in."""
LOOK_S = 0.5
"""Between two looks at the run."""
FINISH_S = 60.0
"""What PtyPy gets after the end of a complete run for its last iterations; large frames take seconds each."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what may never come, in seconds."""

    for_file_s: float = 3600.0
    """For the file, and its first rows."""
    for_heartbeat_s: float = 30.0
    """For a sign of life of the writer: it counts on ten times a second, row or no row."""
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Followed:
    """How a followed reconstruction ended."""

    outcome: Outcome
    is_complete: bool
    """The run is COMPLETE."""
    sentence: str
    """What became of the run, and whether PtyPy saw all of it."""


class RunWatch:
    """The run behind a growing file: has it ended, does its writer live?"""

    def __init__(self, path: Path, patience: Patience) -> None:
        self._path, self._patience = path, patience
        self._heartbeat = -1
        self._beat_at = self._looked_at = patience.clock()
        self.scan: ScanFile | None = None
        self.end_reason = ""

    def look(self) -> ScanFile | None:
        """The file as it is now, None while it is not there. Raises `SourceError` when its writer has died."""
        if not self._path.exists():
            return None
        now = self._patience.clock()
        if self.scan is not None and now - self._looked_at < LOOK_S:
            return self.scan
        self._looked_at = now
        try:
            self.scan = ScanFile.read(self._path)
            self._take_pulse(now)
        except (OSError, SourceError):
            if self.scan is None:
                raise
        return self.scan

    def _take_pulse(self, now: float) -> None:
        assert self.scan is not None
        with open_standard_file(self._path) as file:
            heartbeat = number_in(dataset_at(file, HEARTBEAT)) or 0
            self.end_reason = text_in(dataset_at(file, END_REASON)) or ""
        if heartbeat != self._heartbeat:
            self._heartbeat, self._beat_at = int(heartbeat), now

    @property
    def writer_is_silent(self) -> bool:
        """The run has not ended, and nothing has been written for too long."""
        has_ended = self.scan is not None and self.scan.has_ended
        return not has_ended and self._patience.clock() - self._beat_at > self._patience.for_heartbeat_s


def follow(request: Request, listener: Listener, patience: Patience | None = None) -> Followed:
    """Reconstruct a scan while it runs; `request.data` need not be there yet.

    Raises as `reconstruct` does, and `SourceError` if no file comes or a run has left too few rows.
    """
    patience = patience or Patience()
    watched = RunWatch(request.data, patience)
    _wait_for_rows(request, watched, listener, patience)
    scan = request.choices.read_scan(request.data)
    check_scan(scan, follow=True)
    output = request.output(scan, ".follow")
    mask = _mask(scan)
    seen, start, n_done = _PtypyAlong(request, output, listener).run(scan, watched)
    scan = request.choices.read_scan(request.data)
    state, sentence = _what_became(scan, watched)
    if scan.n_kept < FEWEST_ROWS:
        raise SourceError(f"{sentence}; {scan.n_kept} rows are too few for a reconstruction")
    n_left = request.settings.iterations - n_done
    unseen = _unseen(scan, seen, mask)
    if not unseen and n_left <= 0 and start is not None:
        ptyr = Ptyr.read(start.ptyr)
        return Followed(
            publish(request, scan, ptyr, (sentence,)), state == "COMPLETE", f"{sentence}; PtyPy saw every row"
        )
    listener.note(f"{sentence}; going on with the file as it is now ({unseen or f'{n_left} iterations to go'})")
    settings = replace(request.settings, iterations=max(n_left, sum(AFTER_END)))
    outcome = reconstruct(replace(request, settings=settings), listener, start)
    return Followed(outcome, state == "COMPLETE", sentence + ("" if unseen else "; PtyPy saw every row"))


def _wait_for_rows(request: Request, watched: RunWatch, listener: Listener, patience: Patience) -> None:
    deadline_s = patience.clock() + patience.for_file_s
    is_told = False
    while True:
        scan = watched.look()
        if scan is not None and (scan.n_rows > 0 or scan.has_ended):
            return
        if scan is not None and watched.writer_is_silent:
            raise SourceError(f"{request.data} has no rows, and nothing is written to it: its writer may have died")
        if patience.clock() > deadline_s:
            raise SourceError(
                f"{request.data} did not get a row within {patience.for_file_s:g} s: is the scan running?"
            )
        if not is_told:
            listener.note(f"waiting for {request.data} and its first row")
            is_told = True
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What PtyPy's loader gave PtyPy."""

    sums: npt.NDArray[np.float64]
    positions_yx_m: npt.NDArray[np.float64]


class _PtypyAlong:
    """PtyPy beside the run, until it has all rows or there is nothing to wait for."""

    def __init__(self, request: Request, output: Output, listener: Listener) -> None:
        self._request, self._output, self._listener = request, output, listener

    def run(self, scan: ScanFile, watched: RunWatch) -> tuple[_Seen | None, Start | None, int]:
        """What PtyPy saw (None if it did not get to the end), from where to go on, iterations done."""
        engine_n, polish_n = AFTER_END
        settings = replace(self._request.settings, iterations=engine_n + polish_n, n_polish=polish_n)
        illumination = self._request.choices.illumination(scan, self._request.folder, self._output.run)
        for remark in illumination.remarks:
            self._listener.note(remark)
        recipe = recipe_text(scan, settings, illumination, self._output, follow=True)
        counting = _Counting(self._listener)
        with PtypyRun(self._request.python, recipe, self._output) as run:
            ended_at: float | None = None
            while run.is_running:
                watch(run, counting)
                now_scan = watched.look()
                if now_scan is not None and now_scan.has_ended and ended_at is None:
                    ended_at = time.monotonic()
                    if now_scan.n_rows != scan.n_rows_expected:
                        break  # PtyPy would wait for the rest
                if watched.writer_is_silent:
                    break
                if ended_at is not None and time.monotonic() - ended_at > FINISH_S:
                    break
            if run.is_running:
                run.end()
                latest = run.latest
                return None, Start(latest) if latest is not None else None, counting.n
            result = run.result()
        with np.load(self._output.folder / "followed.npz") as followed:
            seen = _Seen(followed["sums"], followed["positions_yx_m"])
        return seen, Start(result), counting.n


class _Counting:
    """A listener that also counts iterations."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.n = 0

    def note(self, text: str) -> None:
        self._listener.note(text)

    def iteration(self, done: Iteration) -> None:
        self.n += 1
        self._listener.iteration(done)

    def image(self, present: Ptyr) -> None:
        self._listener.image(present)


def _what_became(scan: ScanFile, watched: RunWatch) -> tuple[str, str]:
    if not scan.has_ended:
        return "FAILED", f"the writer of {scan.path} fell silent after {scan.n_rows} rows"
    rows = f"{scan.n_rows} of {scan.n_rows_expected} rows"
    reason = f" ({watched.end_reason})" if watched.end_reason else ""
    return scan.state, f"the run is {scan.state} with {rows}{reason}"


def _unseen(scan: ScanFile, seen: _Seen | None, mask: npt.NDArray[np.uint8]) -> str:
    """What the file holds that PtyPy has not seen, in words; empty if nothing."""
    if seen is None:
        return "PtyPy was ended before it was done"
    if len(seen.sums) != scan.n_rows:
        return f"PtyPy saw {len(seen.sums)} of {scan.n_rows} rows"
    if scan.n_kept != scan.n_rows:
        return f"{scan.n_rows - scan.n_kept} rows are rejected"
    if not np.array_equal(mask, _mask(scan)):
        return "the mask has grown"
    sums, positions_yx_m = frame_sums(scan)
    n_wrong = int(np.sum(~np.isclose(seen.sums, sums, rtol=1e-6) | (seen.positions_yx_m != positions_yx_m).any(axis=1)))
    return f"PtyPy read {n_wrong} rows wrong" if n_wrong else ""


def frame_sums(scan: ScanFile) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum of each frame over the square that PtyPy takes of it, and (rows, 2) y and x of its position."""
    half = scan.square_px // 2
    row, column = (round(value) for value in scan.center_px)
    square = np.s_[row - half : row + half, column - half : column + half]
    with open_standard_file(scan.path) as file:
        data = file["/entry/data"]
        assert isinstance(data, h5py.Dataset)
        sums = np.array([data[index][square].sum(dtype=np.float64) for index in range(scan.n_rows)])
        positions_yx_m = np.asarray(file["/entry/pos"][: scan.n_rows])[:, ::-1]  # type: ignore[index]
    return sums, positions_yx_m


def _mask(scan: ScanFile) -> npt.NDArray[np.uint8]:
    with open_standard_file(scan.path) as file:
        return np.asarray(file["/entry/mask"])
