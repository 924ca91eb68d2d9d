"""Metrics as Prometheus gets them, over a socket of this machine."""

from __future__ import annotations

import http.client
import math
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from limits import HANG_S
from prometheus_client.parser import text_string_to_metric_families

from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.errors import ConfigError
from stream_service.publishers.metrics import PATH, Metrics
from stream_service.publishers.metrics_table import METRICS
from stream_service.publishers.scrape_server import MOST_CLIENTS
from stream_service.settings.service_status import NO_RUN, Health, Latencies, ReadbackStatus, RunStatus, ServiceStatus

READBACKS = (
    ReadbackStatus("x", "SIM:x.RBV", True, 0, 1.0, "mm", 1),
    ReadbackStatus("energy", 'SIM:"odd"\\name', False, 3, math.nan, "", 0),
)


def run(number: int = 1, state: RunState = RunState.RECEIVING, received: int = 0, lost: int = 0) -> RunStatus:
    account = Account(10, received, 0, lost, 0, 0, 0, 0)
    return replace(NO_RUN, run_number=number, scan_id="scan 1", state=state, received=received, account=account)


def status(newest: RunStatus) -> ServiceStatus:
    return ServiceStatus(Health.BUSY, newest, readbacks=READBACKS, version="1.2.3")


class Scraped:
    """The samples of one answer, by name and values of the labels."""

    def __init__(self, port: int, address: str = "127.0.0.1", accept: str = "") -> None:
        connection = http.client.HTTPConnection(address, port, timeout=HANG_S)
        connection.request("GET", PATH, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        self.kind = answer.headers["Content-Type"]
        self.text = answer.read().decode()
        assert answer.status == 200
        connection.close()
        families = list(text_string_to_metric_families(self.text))
        self.samples = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    def __getitem__(self, key: str | tuple[str, ...]) -> float:
        name, *labels = (key,) if isinstance(key, str) else key
        return self.samples[f"ptychostream_{name}", *labels]


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(budget_bytes=1e6)
    yield made
    made.close()


@pytest.fixture
def port(metrics: Metrics) -> int:
    return metrics.serve_at("127.0.0.1", 0)


def test_every_metric_of_the_table_is_served_with_its_labels(metrics: Metrics, port: int) -> None:
    newest = run(received=3)
    metrics.show(status(newest), [newest])
    families = {family.name: family for family in text_string_to_metric_families(Scraped(port).text)}
    for metric in METRICS:
        family = families[metric.full_name.removesuffix("_total")]
        assert family.type == metric.kind and family.documentation == metric.meaning
        if metric.kind != "histogram":
            assert family.samples and all(tuple(sample.labels) == metric.labels for sample in family.samples), metric


def test_histogram_has_the_rows_up_to_each_bound_and_their_sum(metrics: Metrics, port: int) -> None:
    counts = (1, 2, *(0 for _ in Latencies().counts[3:]), 4)
    shown = replace(status(NO_RUN), latencies=Latencies(counts, 12.5))
    metrics.show(shown, [])
    scraped, first_s, second_s = Scraped(port), *Latencies.BOUNDS_S[:2]
    buckets = {float(key[1]): n for key, n in scraped.samples.items() if key[0].endswith("latency_seconds_bucket")}
    assert buckets[first_s] == 1 and buckets[second_s] == 3 and buckets[math.inf] == 7
    assert scraped["row_latency_seconds_sum"] == 12.5 and scraped["row_latency_seconds_count"] == 7


def test_values_are_those_of_the_status(metrics: Metrics, port: int) -> None:
    newest = replace(run(received=3), queue_bytes=123)
    metrics.show(status(newest), [newest])
    scraped = Scraped(port)
    assert scraped["frames_received_total"] == 3 and scraped["queue_bytes"] == 123
    assert scraped["queue_budget_bytes"] == 1e6
    assert scraped["run_state", "RECEIVING"] == 1 and scraped["run_state", "IDLE"] == 0
    assert scraped["readback_connected", "x", "SIM:x.RBV"] == 1
    assert scraped["readback_connected", "energy", 'SIM:"odd"\\name'] == 0
    assert scraped["build_info", "1.2.3"] == 1 and scraped["run_info", "1", "scan 1"] == 1
    assert math.isnan(scraped["disk_free_bytes"]) and scraped["alarm_severity", "ReadbacksLost"] == 2
    assert scraped.samples[("process_resident_memory_bytes",)] > 0


def test_openmetrics_is_given_to_who_asks_for_it(metrics: Metrics, port: int) -> None:
    metrics.show(status(NO_RUN), [])
    scraped = Scraped(port, accept="application/openmetrics-text;version=1.0.0")
    assert scraped.kind.startswith("application/openmetrics-text") and scraped.text.endswith("# EOF\n")


def test_version_that_is_none_is_answered_as_plain_text(metrics: Metrics, port: int) -> None:
    metrics.show(status(NO_RUN), [])
    assert Scraped(port, accept="application/openmetrics-text;version=abc").kind.startswith("text/plain")


def test_page_is_made_once_for_all_who_ask_for_the_same_status(
    metrics: Metrics, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_service.publishers.metrics.KEPT_S", math.inf)
    metrics.show(status(run(received=3)), [run(received=3)])
    first, second = Scraped(port), Scraped(port)
    assert first.text == second.text and first["frames_received_total"] == 3
    metrics.show(status(run(received=4)), [run(received=4)])
    assert Scraped(port)["frames_received_total"] == 4


def test_nothing_is_served_before_there_is_a_status_and_nobody_fails(port: int) -> None:
    assert "ptychostream_" not in Scraped(port).text


def test_silent_clients_keep_nobody_from_the_metrics(metrics: Metrics, port: int) -> None:
    """They say nothing, or ask and take nothing: 200 of them hold no more than a bounded number of connections."""
    metrics.show(status(NO_RUN), [])
    clients = []
    try:
        for number in range(200):
            client = socket.create_connection(("127.0.0.1", port), HANG_S)
            clients.append(client)
            client.sendall(b"GET /met" if number % 2 else b"")
        assert Scraped(port)["service_uptime_seconds"] == 0
        client = clients[0]
        assert client.recv(1) == b"", "the first of them is let go before the time of a client is over"
    except ConnectionResetError:
        pass
    finally:
        for client in clients:
            client.close()
    assert len(clients) == 200 > MOST_CLIENTS


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405"),
        (b"HEAD /metrics HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /metrics?debug=1 HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),
        (b"\x16\x03\x01 garbage\r\n\r\n", b"405"),
        (b"x" * 100_000, b""),
    ],
    ids=["another path", "a put", "head", "a query", "garbage", "too much"],
)
def test_other_requests_are_answered_plainly_and_the_next_is_served(port: int, asked: bytes, answer: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), HANG_S) as client:
        try:
            client.sendall(asked)
            assert answer in client.recv(100)
        except ConnectionError:
            assert not answer
    assert Scraped(port).text


def test_defect_in_making_them_is_answered_and_logged(
    metrics: Metrics, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.show(ServiceStatus(Health.READY, None), [])  # type: ignore[arg-type]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    connection.request("GET", PATH)
    assert connection.getresponse().status == 500
    connection.close()
    assert "a defect of the service" in caplog.text


@pytest.mark.parametrize("address", ["0.0.0.0", "::1", "::", "localhost"])
def test_addresses_of_any_kind_can_be_served_at(metrics: Metrics, address: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        if ":" in address:
            pytest.skip("this machine has no IPv6")
    port = metrics.serve_at(address, 0)
    metrics.show(status(NO_RUN), [])
    assert Scraped(port, "::1" if address == "::1" else "127.0.0.1").samples


@pytest.mark.parametrize(
    ("address", "words"),
    [("192.0.2.1", "address of this machine"), ("not a host", "is not an address"), ("", "is empty")],
)
def test_address_that_is_none_of_ours_is_one_sentence(metrics: Metrics, address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        metrics.serve_at(address, 0)


def test_port_that_is_taken_is_one_sentence(metrics: Metrics, port: int) -> None:
    with pytest.raises(
        ConfigError, match=f"port {port}: .* in use; choose another port, or end the program that has it"
    ):
        Metrics(0).serve_at("127.0.0.1", port)


def test_nothing_is_counted_while_nothing_is_served(metrics: Metrics) -> None:
    def broken() -> Iterator[RunStatus]:
        raise AssertionError("the runs are not looked at")
        yield NO_RUN

    metrics.show(status(NO_RUN), broken())
    assert not list(metrics.collect())


@pytest.mark.parametrize("n_clients", [0, 2])
def test_end_is_no_defect_whoever_is_there(metrics: Metrics, port: int, n_clients: int, caplog: Any) -> None:
    clients = [socket.create_connection(("127.0.0.1", port), HANG_S) for _ in range(n_clients)]
    Scraped(port)  # they came before
    metrics.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    for client in clients:
        assert client.recv(1) == b""
        client.close()
