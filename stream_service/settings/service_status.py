"""The status of the service and of its newest run at one moment: what the status table makes PVs of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.settings.alarm import Alarm, Severity

RATE_S = 1.0
"""The least time over which a rate is taken: shorter ones are noise at one row a second."""


class Health(StrEnum):
    """Health of the service; the state belongs to the run."""

    READY = "READY"
    BUSY = "BUSY"
    FAULTED = "FAULTED"


@dataclass(frozen=True, slots=True)
class Judged:
    """Quality of the rows of a run, as far as they are judged by now."""

    n_rows: int = 0
    n_together: int = 0
    """Rows that were judged together with all that were there: only new rows change these verdicts."""
    n_rejected: int = 0
    recent_share: float = 0.0
    """Rejected of the latest rows, 0 to 1."""
    last_score: float = 0.0
    last_rejected: str = ""
    """The latest row that is rejected, and why, in words."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Planned positions of a run, up to the latest one of which there is a row, that have no row which can be used."""

    MOST_NAMED: ClassVar[int] = 500
    """In a text of 4 KiB."""

    n_lacking: int = 0
    lacking: tuple[int, ...] = ()
    """The first of them, from 0."""


class ToRepeat(BaseModel):
    """What a plan needs to know to repeat positions, in one text: updates of several PVs have no order among them."""

    model_config = ConfigDict(frozen=True)

    rows: int = 0
    """Those that were judged together, `RowsCompared`."""
    announced: int = 0
    """Repeats that the service knows of."""
    lacking: int = 0
    """Planned positions of which no row can be used."""
    positions: tuple[int, ...] = ()
    """The first of these, from 0."""


class QueueBytes(NamedTuple):
    """Memory that waits in each queue of a run, in bytes."""

    frames: int = 0
    """Of frames that were received, and are not taken yet."""
    pairing: int = 0
    """Of those that wait for their readbacks, or for the others of their group."""
    judging: int = 0
    """Of rows that wait to be judged."""

    def most(self, other: QueueBytes) -> QueueBytes:
        """The larger of each."""
        return QueueBytes(*map(max, self, other))


NOTHING_WAITS = QueueBytes()


@dataclass(frozen=True, slots=True)
class LatestRowStatus:
    """The latest stored row of a run, in numbers; NaN where a value is not known."""

    x_m: float = math.nan
    y_m: float = math.nan
    """Position of the beam on the sample; NaN also where it is flagged, since a number has no flag beside it."""
    energy_eV: float = math.nan
    """NaN likewise."""
    time_ns: int = 0
    """The detector's stamp of its first frame, since 1970 UTC; 0: none."""
    intensity: float = math.nan
    """Sum of its good pixels, in counts."""
    n_saturated: int = 0
    latency_s: float = math.nan
    """From the receipt of its last frame until readers of the file see it."""


@dataclass(frozen=True, slots=True)
class ReadbackStatus:
    """A PV of the profile as its monitor knows it."""

    channel: str
    pv: str
    is_connected: bool
    severity: int
    """Its own alarm, as EPICS numbers it; INVALID (3) is no value."""
    value: float
    """In its own unit; NaN where it has none."""
    unit: str
    time_ns: int
    """Its own stamp of that value, since 1970 UTC; 0: none."""

    @property
    def problem(self) -> str:
        """Why it has no value now, in words; empty if it has."""
        if not self.is_connected:
            return f"{self.pv} is not connected"
        return f"{self.pv} is INVALID" if self.severity >= Severity.INVALID else ""


@dataclass(frozen=True, slots=True)
class DataPlace:
    """The folder of the files, and how much of its disk is free."""

    root: str = ""
    free_bytes: float = math.nan
    """NaN if it is not known."""
    problem: str = ""
    """Why it is not, in words."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as it stands."""

    run_number: int
    scan_id: str
    state: RunState
    file: str
    message: str
    end_reason: str
    account: Account
    received: int
    gaps: int
    """Frames that later ones have overtaken, so far."""
    bad_messages: int
    rows: int
    rows_expected: int
    queue_bytes: int
    severity: Severity = Severity.NONE
    judged: Judged = Judged()
    coverage: Coverage = Coverage()
    n_repeats: int = 0
    """Repeats that were announced."""
    most_queue_bytes: int = 0
    """The most that `queue_bytes` has been in this run."""
    high_water: QueueBytes = NOTHING_WAITS
    """The most that each queue has held in this run."""
    latest: LatestRowStatus = LatestRowStatus()
    budget_bytes: int = 0
    """What `queue_bytes` may be; 0: not known."""
    row_bytes: int = 0
    """What a row takes on the disk; 0: not known yet."""
    missing_ids: str = ""
    """uniqueIds of the frames that were exposed and are not in the file, as ranges; once the run has ended."""

    @property
    def share_done(self) -> float:
        """Rows of those expected, 0 to 1; NaN where nobody knows how many come."""
        return min(1.0, self.rows / self.rows_expected) if self.rows_expected else math.nan

    @property
    def in_file(self) -> int:
        """Frames in the file, wherever they came from."""
        return self.account.stored + self.account.backfilled

    @property
    def to_repeat(self) -> ToRepeat:
        """For a plan."""
        coverage = self.coverage
        return ToRepeat(
            rows=self.judged.n_together,
            announced=self.n_repeats,
            lacking=coverage.n_lacking,
            positions=coverage.lacking,
        )

    @property
    def missing(self) -> int:
        """Frames lost, as far as is known by now: gaps in the ids while the run goes on, the account at its end."""
        return self.account.lost if self.state.has_ended else self.gaps


NO_RUN = RunStatus(0, "", RunState.IDLE, "", "no run yet", "", Account(0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Pace:
    """One run at two times, a second or more apart: rates follow from it."""

    before: RunStatus = NO_RUN
    before_s: float = 0.0
    after: RunStatus = NO_RUN
    after_s: float = 0.0

    def at(self, run: RunStatus, now_s: float) -> Pace:
        """The pace with the run as it is now: the same until `RATE_S` have passed, a new one for another run."""
        if run.run_number != self.after.run_number:
            return Pace(run, now_s, run, now_s)
        if now_s - self.after_s < RATE_S:
            return self
        return Pace(self.after, self.after_s, run, now_s)

    def per_second(self, count: Callable[[RunStatus], int]) -> float:
        """The rate of a count of the run; 0 in its first second."""
        span_s = self.after_s - self.before_s
        return (count(self.after) - count(self.before)) / span_s if span_s > 0 else 0.0

    @property
    def left_s(self) -> float:
        """Time until all expected rows are there, at this pace; 0 once a run has ended, NaN where nobody knows."""
        run = self.after
        if run.state.has_ended:
            return 0.0
        rate = self.per_second(lambda run: run.rows)
        return (run.rows_expected - run.rows) / rate if rate > 0 and run.rows_expected else math.nan


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latency of all rows since the service started: from the receipt of a row's last frame until readers see it."""

    BOUNDS_S: ClassVar = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    """Rows up to each bound and above the one before; the last: above all bounds."""
    sum_s: float = 0.0

    @property
    def cumulative(self) -> tuple[tuple[float, int], ...]:
        """Each bound, infinity the last, with the rows up to it: the buckets of a histogram of Prometheus."""
        return tuple(zip((*self.BOUNDS_S, math.inf), accumulate(self.counts), strict=True))


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The service as it stands, with its newest run."""

    health: Health
    run: RunStatus = NO_RUN
    pace: Pace = Pace()
    arm_error: str = ""
    """Why the last arming failed."""
    is_standing_by: bool = False
    """Armed by auto mode, for whatever the detector does next."""
    time_s: float = 0.0
    """Since the service began, by a clock that never steps."""
    is_resuming: bool = False
    """The run is one that a service which was killed has left; it takes no frames yet."""
    readbacks: tuple[ReadbackStatus, ...] = ()
    place: DataPlace = DataPlace()
    report: str = ""
    """Path of the newest report of a run."""
    version: str = ""
    latencies: Latencies = Latencies()
    held: Mapping[str, Alarm] = field(default_factory=dict[str, Alarm], hash=False)
    """Alarms that stay for a while though their cause has gone, by their PV."""

    @property
    def lost_readbacks(self) -> tuple[ReadbackStatus, ...]:
        """Those without a value now."""
        return tuple(readback for readback in self.readbacks if readback.problem)

    @property
    def readback_problem(self) -> str:
        """Which have no value, in words."""
        return "; ".join(readback.problem for readback in self.lost_readbacks)
