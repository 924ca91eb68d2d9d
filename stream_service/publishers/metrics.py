"""Metrics for Prometheus: made when they are asked for, of the latest status that the main loop has shown.

Whoever asks never holds up the service: a status is put into a mailbox, and all else is done in the thread of the
server. Nothing is counted while nothing is served.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from stream_service.publishers.metrics_table import METRICS, Metric, MetricKind, Moment
from stream_service.publishers.run_totals import RunTotals
from stream_service.publishers.scrape_server import ScrapeServer
from stream_service.settings.service_status import RunStatus, ServiceStatus

log = logging.getLogger(__name__)

PATH = "/metrics"
KEPT_S = 1.0
"""The most that a page is older than who asks for it, where the main loop hangs and there is no newer status."""
WHAT_FOR = "metrics cannot be served (service.metrics_port and metrics_address of the profile)"


class Metrics(Collector):
    """The metrics of one service. Its methods are called by one thread, `collect` by any."""

    def __init__(self, budget_bytes: float) -> None:
        self._budget_bytes = budget_bytes
        self._totals = RunTotals()
        self._latest: tuple[float, Moment] | None = None
        """When it was shown, by the clock that never steps."""
        self._pages: dict[str, _Page] = {}
        """By their type, of which Prometheus knows a few."""
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._server: ScrapeServer | None = None

    def serve_at(self, address: str, port: int) -> int:
        """Serve them there from now on; gives the port. Raises `ConfigError` where that cannot be."""
        self._server = ScrapeServer(address, port, PATH, self._page, WHAT_FOR)
        log.info("metrics at port %d of %s", self._server.port, address)
        return self._server.port

    def resumed(self, run: RunStatus) -> None:
        """See `RunTotals.resumed`; before the run is noted."""
        self._totals.resumed(run)

    def note(self, runs: Iterable[RunStatus]) -> None:
        """Count all runs that work, as they are now: one that is not among them any more counts no further."""
        if self._server is not None:
            self._totals.note(runs)

    def show(self, status: ServiceStatus, runs: Iterable[RunStatus]) -> None:
        """Show this status from now on, and count all runs that work."""
        if self._server is not None:
            self.note(runs)
            shown = Moment(status, self._totals.counts, self._totals.n_ended, self._budget_bytes, 0.0)
            self._latest = time.monotonic(), shown

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.close()

    def collect(self) -> Iterator[Family]:
        """The metrics as they are now; none before the first status."""
        if self._latest is None:
            return
        shown_s, shown = self._latest
        now = replace(shown, age_s=time.monotonic() - shown_s)
        for metric in METRICS:
            yield family_of(metric, now)

    def _page(self, accepted: str) -> tuple[str, bytes]:
        try:
            encode, kind = choose_encoder(accepted)
        except (TypeError, ValueError):  # a version that is no number
            encode, kind = choose_encoder("")
        latest, now_s = self._latest, time.monotonic()
        kept = self._pages.get(kind)
        if kept is None or kept.of is not latest or now_s - kept.made_s > KEPT_S:
            kept = self._pages[kind] = _Page(latest, now_s, encode(self._registry))
        return kind, kept.text


class _Page(NamedTuple):
    """A page as it was made last: who asks again and again takes no more of the processor than the main loop gives."""

    of: object
    """The status it shows."""
    made_s: float
    text: bytes


def family_of(metric: Metric, moment: Moment) -> Family:
    """A metric with its values, as Prometheus' client has it."""
    if metric.latencies is not None:
        latencies = metric.latencies(moment)
        buckets = [(floatToGoString(bound_s), n) for bound_s, n in latencies.cumulative]
        return HistogramMetricFamily(metric.full_name, metric.meaning, buckets=buckets, sum_value=latencies.sum_s)
    make = CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily
    family = make(metric.full_name, metric.meaning, labels=metric.labels)
    for labels, value in metric.samples(moment):
        family.add_metric(labels, value)
    return family
