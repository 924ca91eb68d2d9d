"""A run that is killed at random places, by a script: a reset of the counter, losses, duplicates, groups of frames.

The files of each moment of a kill are put aside, as they are then, and the next service finds these.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import corpus
import h5py
import numpy as np
import pytest
from scripted_arrays import by_index
from scripted_run import Bench, ScriptedSources

from stream_service.core.frame import Frame
from stream_service.core.pairing.readback import Entries
from stream_service.core.run import RunState
from stream_service.run.live.live_journal import journal_folder
from stream_service.run.live.resumed_setup import ResumedSetup, interrupted_paths
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.run.run import Run
from stream_service.standard_file import validate_file
from stream_service.testing.scripted_frames import Step
from stream_service.testing.scripted_raw_file import ScriptedRawFile

N = 24
Identity = tuple[int, int]
"""Epoch and uniqueId."""
USUAL = (5, 20, 52)
"""Groups of three with a reset beside a kill; single frames, some of which were lost beside the reset and the kills."""
SEEDS = [*USUAL, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(60) if seed not in USUAL)]


@dataclass
class Scan:
    """What the detector does, and what comes of it, by a seed."""

    seed: int
    by_index: bool = False
    """Positions are entries of an array, which grows with the exposures, whoever listens."""
    frames_per_position: int = 1
    exposures: list[Identity] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    """Places of those that no service receives."""
    kills: list[int] = field(default_factory=list)
    """After so many exposures."""
    is_sent_twice: bool = False
    """Some frames come twice, and the last one again to each new subscriber."""

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        self.frames_per_position = chance.choice([1, 1, 3])
        reset = chance.choice([N, chance.randrange(3, 21)])
        self.exposures = [(0, n + 1) if n < reset else (1, n - reset + 1) for n in range(N)]
        dropped = {n for n in range(N) if chance.random() < chance.choice([0, 0.2])} - {reset - 1, reset}
        self.kills = sorted(chance.sample(range(1, N), chance.choice([1, 2, 3])))
        n_missed = chance.choice([0, 0, 2])
        while_away = {n for kill in self.kills for n in range(kill, min(N, kill + n_missed))}
        # those just before a reset leave no gap in the ids: how many there were is known to nobody
        self.lost = dropped | (while_away if not {reset - 1, reset} & while_away else set())
        self.is_sent_twice = chance.random() < 0.5

    @property
    def rows(self) -> list[tuple[Identity, ...]]:
        k = self.frames_per_position
        return [tuple(self.exposures[n : n + k]) for n in range(0, N, k)]

    def entries(self, n: int) -> np.ndarray:
        """After so many exposures: the number of each position, from 1, in micrometres."""
        return np.arange(n) // self.frames_per_position + 1.0

    def raw_file(self) -> ScriptedRawFile:
        """It has every exposure."""
        return ScriptedRawFile([recorded(*exposure) for exposure in self.exposures])


def sent(epoch: int, unique_id: int) -> object:
    return corpus.good(unique_id, pixels=pixels(epoch, unique_id), seconds=corpus.STAMP_S + epoch)


def recorded(epoch: int, unique_id: int) -> Frame:
    stamp_ns = (corpus.STAMP_S + epoch) * 10**9 + unique_id * 10**6
    return Frame(unique_id, stamp_ns, pixels(epoch, unique_id), {"energy": 700.0}, is_backfilled=True)


def pixels(epoch: int, unique_id: int) -> np.ndarray:
    return np.full((6, 8), 1000 * epoch + unique_id, np.uint16)


class Service:
    """One of those that work on the scan, in a folder of its own, to which the files of a kill were copied."""

    def __init__(self, scan: Scan, folder: Path, first: int) -> None:
        """It begins with the `first` of the exposures."""
        self.scan, self.folder = scan, folder
        k = scan.frames_per_position
        by_arrays = {"profile": {"channels": by_index(folder).channels}, "at_rest": {"ring_current": 200.0}}
        how = by_arrays if scan.by_index else {}
        self.bench = bench = Bench(folder, n_positions=N // k, frames_per_position=k, **how)
        found = unfinished_journals(bench.profile)
        if found:
            bench.sources = ScriptedSources(bench.profile, bench.beamline)
            unfinished = UnfinishedRun.read(found[0])
            bench.sources.begin = unfinished.armed.series.to_core  # type: ignore[method-assign]
            bench.sources.connect = lambda cancellation: None  # type: ignore[method-assign]
            bench.run = Run(ResumedSetup(bench.profile, unfinished, bench.sources), bench.sources, bench.clock)
        self._tell(first, is_from_before=True)
        bench.run.setup.open_raw_file = scan.raw_file  # type: ignore[method-assign]

    def _tell(self, n: int, **more: bool) -> None:
        """The arrays have as many entries."""
        if self.scan.by_index:
            self.bench.sources.readbacks.events += [Entries(axis, self.scan.entries(n), **more) for axis in "xy"]

    def receive(self, first: int, end: int) -> Iterator[Step]:
        """The exposures of these places, as they come."""
        scan = self.scan
        if first and scan.is_sent_twice and first - 1 not in scan.lost:
            yield [sent(*scan.exposures[first - 1])]
        for n in range(first, end):
            if n not in scan.lost:
                yield [sent(*scan.exposures[n])] * (1 + (scan.is_sent_twice and scan.chance.random() < 0.1))
            yield partial(self._tell, n + 1)
        yield self.bench.exposed(scan.exposures[end - 1][1])

    def is_killed(self, into: Path, flushed: set[tuple[Identity, ...]]) -> Iterator[Step]:
        """Soon, or after some flushes: `into` gets the files of that moment, `flushed` the rows in them."""
        yield from [self.bench.waits(0.2)] * self.scan.chance.choice([1, 3, 4])

        def keep() -> None:
            if self.bench.run.out is not None:
                self.bench.file_is_written()
            home = journal_folder(self.bench.profile)
            shutil.copytree(home, into / home.relative_to(self.folder))
            for path in self.folder.glob("scan_std*"):
                shutil.copy(path, into)
            if (into / "scan_std.h5").exists():
                with h5py.File(into / "scan_std.h5", "r", libver="latest", swmr=True) as file:
                    flushed.update(rows_in(file)[: int(np.count_nonzero(file["/entry/live/key_data"][()]))])

        yield keep
        yield self.bench.run.abort

    def play(self, steps: Iterator[Step]) -> Run:
        run = self.bench.run
        run.arm()
        self.bench.frames.script = steps
        run.work()
        return run


def rows_in(file: h5py.File) -> list[tuple[Identity, ...]]:
    identities = np.stack([file["/entry/frames/epoch"][()], file["/entry/frames/unique_id"][()]], axis=2)
    return [tuple(map(tuple, row)) for row in identities.tolist()]


@pytest.mark.further(but=3)
@pytest.mark.parametrize("are_arrays", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_those_of_a_run_that_was_not_killed(tmp_path: Path, seed: int, are_arrays: bool) -> None:
    scan, flushed = Scan(seed, are_arrays), set[tuple[Identity, ...]]()
    places = [0, *scan.kills, N]
    for n, (first, end) in enumerate(pairwise(places)):
        service = Service(scan, tmp_path / str(n) if n else made(tmp_path / "0"), first)

        def script(service: Service = service, first: int = first, end: int = end, n: int = n) -> Iterator[Step]:
            yield from service.receive(first, end)
            if end < N:
                yield from service.is_killed(made(tmp_path / str(n + 1)), flushed)
            else:
                yield service.bench.detector_stops
                yield service.bench.stop

        run = service.play(script())
    said = f"{scan}: {run.message}"
    assert run.state is RunState.COMPLETE, said
    with service.bench.file() as file:
        rows = rows_in(file)
        assert flushed <= set(rows) and sorted(rows) == sorted(scan.rows), said
        values = [sum(1000 * epoch + unique_id for epoch, unique_id in row) for row in rows]
        assert file["/entry/data"][:, 0, 0].tolist() == values, said
        assert (file["/entry/keep"][()] == 1).all(), said
        if are_arrays:
            positions = np.array([scan.rows.index(row) + 1 for row in rows])
            np.testing.assert_allclose(file["/entry/posx_m"][()], -1e-6 * positions, err_msg=said)
    assert [str(found) for found in validate_file(run.setup.path) if found.level == "error"] == [], said
    assert not interrupted_paths(run.setup.path) and not unfinished_journals(service.bench.profile), said


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
