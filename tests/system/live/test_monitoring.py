"""A daemon that is monitored: by Prometheus, in a terminal, by systemd, in its log."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from limits import HANG_S
from prometheus_client.parser import text_string_to_metric_families
from rig import Rig, Rigs

from stream_service.testing.loopback import LOOPBACK, free_port

PORT = free_port()


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix, service={"metrics_port": PORT})


def scraped() -> dict[tuple[str, ...], float]:
    """What Prometheus would get now: values by name and labels."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{PORT}/metrics", timeout=HANG_S) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_metrics_count_over_runs(rig: Rig) -> None:
    for number in (1, 2):
        assert rig.arm(f"counted{number}", n_positions=5) == ""
        rig.beamline.acquire(5)
        assert rig.wait_for_end() == "COMPLETE"
        rig.service.wait_until(lambda number=number: scraped()["ptychostream_runs_total", "COMPLETE"] == number)
        now = scraped()
        assert now["ptychostream_frames_received_total",] == now["ptychostream_rows_total",] == 5 * number
        assert now["ptychostream_run_state", "COMPLETE"] == 1 and now["ptychostream_run_rows",] == 5
        assert now["ptychostream_run_info", str(number), f"counted{number}"] == 1
