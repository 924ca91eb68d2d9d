"""The table of the metrics: each once, with kind, unit, labels, meaning, and how its values follow from the status.

What Prometheus is served, docs/reference/metrics.md and the test of the Grafana dashboard follow from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from stream_service.core.run import RunState
from stream_service.publishers.run_totals import Counts, Total
from stream_service.settings.service_status import Health, Latencies, RunStatus, ServiceStatus
from stream_service.settings.status_table import STATUS

PREFIX = "ptychostream_"

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What metrics are made of: the service at one moment."""

    status: ServiceStatus
    totals: Counts
    n_ended: Mapping[RunState, int]
    budget_bytes: float
    """Of the frames that wait for the run, and of those that wait for readbacks, each."""
    age_s: float
    """Since the main loop has shown this status."""


class MetricKind(StrEnum):
    """Kinds of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; the name is without the prefix, and ends in its unit (and `total`) as Prometheus wants it."""

    name: str
    kind: MetricKind
    meaning: str
    samples: Callable[[Moment], Iterable[Sample]]
    unit: str = ""
    labels: tuple[str, ...] = ()
    latencies: Callable[[Moment], Latencies] | None = None
    """Of a histogram, which has no samples."""

    @property
    def full_name(self) -> str:
        """As it is served."""
        return PREFIX + self.name


def _one(value: Callable[[Moment], float]) -> Callable[[Moment], Iterable[Sample]]:
    return lambda moment: [((), value(moment))]


def _total(name: str, total: Total, meaning: str, unit: str) -> Metric:
    return Metric(f"{name}_total", MetricKind.COUNTER, meaning, _one(lambda moment: moment.totals[total]), unit)


def _service(
    name: str,
    meaning: str,
    value: Callable[[ServiceStatus], float],
    unit: str = "",
    kind: MetricKind = MetricKind.GAUGE,
) -> Metric:
    return Metric(name, kind, meaning, _one(lambda moment: value(moment.status)), unit)


def _run(name: str, meaning: str, value: Callable[[RunStatus], float], unit: str = "") -> Metric:
    return _service(name, meaning, lambda status: value(status.run), unit)


def _one_of(
    name: str, label: str, meaning: str, choices: type[StrEnum], current: Callable[[ServiceStatus], str]
) -> Metric:
    def samples(moment: Moment) -> Iterator[Sample]:
        now = current(moment.status)
        return (((str(choice),), float(choice == now)) for choice in choices)

    return Metric(name, MetricKind.GAUGE, meaning, samples, labels=(label,))


def _ended_runs(moment: Moment) -> Iterator[Sample]:
    return (((str(state),), n) for state, n in moment.n_ended.items())


def _build(moment: Moment) -> Iterator[Sample]:
    yield (moment.status.version,), 1.0


def _newest_run(moment: Moment) -> Iterator[Sample]:
    run = moment.status.run
    if run.run_number:
        yield (str(run.run_number), run.scan_id), 1.0


def _alarms(moment: Moment) -> Iterator[Sample]:
    return (((str(pv),), float(pv.severity_in(moment.status))) for pv in STATUS)


def _connections(moment: Moment) -> Iterator[Sample]:
    return (((readback.channel, readback.pv), float(readback.is_connected)) for readback in moment.status.readbacks)


def _severities(moment: Moment) -> Iterator[Sample]:
    return (((readback.channel, readback.pv), float(readback.severity)) for readback in moment.status.readbacks)


METRICS = (
    Metric("build_info", MetricKind.GAUGE, "1; the version of the service is its label", _build, labels=("version",)),
    _service("service_uptime_seconds", "since the service began", lambda s: s.time_s, "s"),
    Metric(
        "main_loop_age_seconds",
        MetricKind.GAUGE,
        "since the service's main loop has shown its status, which it does ten times a second: it hangs if this grows",
        _one(lambda moment: moment.age_s),
        "s",
    ),
    _one_of("health", "health", "1 for the health of the service now, 0 for the others", Health, lambda s: s.health),
    _one_of(
        "run_state", "state", "1 for the state of the newest run, 0 for the others", RunState, lambda s: s.run.state
    ),
    Metric(
        "run_info",
        MetricKind.GAUGE,
        "1; number and scan of the newest run are its labels; not there before the first run",
        _newest_run,
        labels=("run", "scan_id"),
    ),
    Metric(
        "runs_total",
        MetricKind.COUNTER,
        "runs that have ended, by the state they ended in",
        _ended_runs,
        labels=("state",),
    ),
    Metric(
        "alarm_severity",
        MetricKind.GAUGE,
        "alarm of each PV of the service as EPICS numbers it: 0 none, 1 MINOR, 2 MAJOR",
        _alarms,
        labels=("pv",),
    ),
    _total("frames_received", Total.RECEIVED, "frames received, each counted once", "frames"),
    _total("frames_stored", Total.STORED, "frames put into files as they came", "frames"),
    _total("frames_backfilled", Total.BACKFILLED, "frames put into files from the raw file", "frames"),
    _total("frames_lost", Total.LOST, "frames exposed and in no file; counted when their run has ended", "frames"),
    _total("frames_incomplete", Total.INCOMPLETE, "frames whose group never filled; counted likewise", "frames"),
    _total("frames_not_exposed", Total.NOT_EXPOSED, "frames planned, not exposed; counted likewise", "frames"),
    _total("frames_duplicate", Total.DUPLICATE, "frames received more than once", "frames"),
    _total("frames_unexpected", Total.UNEXPECTED, "unexpected frames, not stored", "frames"),
    _total("frames_before_run", Total.BEFORE_RUN, "frames exposed before the run; not stored", "frames"),
    _total("bad_messages", Total.BAD_MESSAGES, "messages that were not usable frames", "messages"),
    _total("rows", Total.ROWS, "rows put into files; those of an interrupted file that follow among them", "rows"),
    _total(
        "rejected_rows", Total.REJECTED, "rows rejected for their quality; counted when their run has ended", "rows"
    ),
    _run("run_frames_missing", "frames of the newest run that are missing so far", lambda r: r.missing, "frames"),
    _run("run_frames_expected", "frames the newest run should have", lambda r: r.account.expected, "frames"),
    _run("run_rows", "rows in the file of the newest run", lambda r: r.rows, "rows"),
    _run("run_rows_expected", "rows that file should have; 0 if not known", lambda r: r.rows_expected, "rows"),
    _run("run_progress_ratio", "rows of those expected, 0 to 1; NaN if it is not known", lambda r: r.share_done),
    _service("run_left_seconds", "until all expected rows are there; NaN if not known", lambda s: s.pace.left_s, "s"),
    _run(
        "run_rejected_rows", "rows of the newest run rejected for their quality", lambda r: r.judged.n_rejected, "rows"
    ),
    _run("recent_rejected_ratio", "share of its latest 100 rows that is rejected", lambda r: r.judged.recent_share),
    _run("latest_score", "score of its latest row, 0 to 1 (rejected)", lambda r: r.judged.last_score),
    _run("positions_lacking", "planned positions of it of which no row can be used", lambda r: r.coverage.n_lacking),
    _run(
        "latest_row_intensity_counts",
        "sum of the good pixels of its latest row",
        lambda r: r.latest.intensity,
        "counts",
    ),
    _run("latest_row_saturated_pixels", "saturated pixels of its latest row", lambda r: r.latest.n_saturated, "pixels"),
    Metric(
        "row_latency_seconds",
        MetricKind.HISTOGRAM,
        "from the receipt of the last frame of a row until readers of the file see the row, of all rows",
        lambda moment: (),
        "s",
        latencies=lambda moment: moment.status.latencies,
    ),
    _run(
        "latest_row_latency_seconds",
        "from the receipt of a frame until readers of the file see its row, of its latest row; NaN without one",
        lambda r: r.latest.latency_s,
        "s",
    ),
    _run(
        "latest_row_energy_electronvolts",
        "photon energy of its latest row; NaN if it is flagged",
        lambda r: r.latest.energy_eV,
        "eV",
    ),
    _run("queue_bytes", "memory of frames not stored, and of rows not judged yet", lambda r: r.queue_bytes, "bytes"),
    _run("queue_most_bytes", "the most that was in the newest run", lambda r: r.most_queue_bytes, "bytes"),
    Metric(
        "queue_budget_bytes",
        MetricKind.GAUGE,
        "budget of frames that wait (service.frame_queue_MiB): of those to be taken, and of those to be paired, each",
        _one(lambda moment: moment.budget_bytes),
        "bytes",
    ),
    _service("disk_free_bytes", "free where the files are; NaN if not known", lambda s: s.place.free_bytes, "bytes"),
    Metric(
        "readback_connected",
        MetricKind.GAUGE,
        "1 for each PV of the profile that is connected, 0 for one that is not",
        _connections,
        labels=("channel", "pv"),
    ),
    Metric(
        "readback_alarm_severity",
        MetricKind.GAUGE,
        "its own alarm, 0 to 3 (INVALID)",
        _severities,
        labels=("channel", "pv"),
    ),
)
