"""Prometheus' own tool on what Prometheus is given: configuration, alarms, metrics. Skipped where there is none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from limits import HANG_S

from stream_service.publishers.metrics import Metrics
from stream_service.settings.service_status import NO_RUN, Health, ServiceStatus

EXAMPLES = Path(__file__).parents[3] / "examples" / "prometheus"
SERVICE = '{instance="i08:9464", job="ptychostream", beamline="i08"'
"""Labels of one service, and others to come."""
Promtool = Callable[..., str]


@pytest.fixture(scope="module")
def promtool() -> Promtool:
    """Run the tool with arguments, and a text as its input; gives what it prints, fails if it finds anything."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool that could look at it")

    def run(*arguments: str | Path, given: str = "") -> str:
        done = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, timeout=HANG_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_configuration_and_alarms_are_valid(promtool: Promtool) -> None:
    assert "SUCCESS" in promtool("check", "config", EXAMPLES / "prometheus.yml")


def test_metrics_are_named_and_explained_as_prometheus_wants_it(promtool: Promtool) -> None:
    metrics = Metrics(budget_bytes=1e6)
    metrics.serve_at("127.0.0.1", 0)
    try:
        newest = replace(NO_RUN, run_number=1, scan_id='odd "name"\\\n')
        metrics.show(ServiceStatus(Health.BUSY, newest, version="1.2.3"), [newest])
        kind, page = metrics._page("")
    finally:
        metrics.close()
    assert kind.startswith("text/plain") and b"ptychostream_run_info" in page
    assert promtool("check", "metrics", given=page.decode()) == ""


def alerts_at(minutes: str, name: str, *firing: dict[str, Any]) -> dict[str, Any]:
    """A look at one alarm at a time after the start: which are firing, by labels and summary."""
    return {"eval_time": minutes, "alertname": name, "exp_alerts": list(firing)}


def firing(severity: str, pv: str, summary: str) -> dict[str, Any]:
    labels = {"severity": severity, "pv": pv, "instance": "i08:9464", "job": "ptychostream", "beamline": "i08"}
    return {"exp_labels": labels, "exp_annotations": {"summary": summary}}


def test_alarms_fire_after_their_time_and_clear_again(promtool: Promtool, tmp_path: Path) -> None:
    """Every 5 s: a loss that gets worse and is over with the next run, a service that hangs, one that is away."""
    lost = f'ptychostream_alarm_severity{SERVICE}, pv="FramesLost"}}'
    major = "FramesLost is in MAJOR alarm at i08:9464: rows are lost, or will be, or say nothing"
    minor = "FramesLost is in MINOR alarm at i08:9464: somebody should look"
    of_service = {"instance": "i08:9464", "job": "ptychostream", "beamline": "i08"}
    hangs = {
        "exp_labels": of_service,
        "exp_annotations": {"summary": "the main loop of the service at i08:9464 stands"},
    }
    gone = {"exp_labels": of_service, "exp_annotations": {"summary": "the service at i08:9464 does not answer"}}
    tests = {
        "rule_files": [str(EXAMPLES / "alerts.yml")],
        "evaluation_interval": yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"][0]["interval"],
        "tests": [
            {
                "interval": "5s",
                "input_series": [
                    {"series": lost, "values": "0x11 1x35 2x11 0x20"},  # MINOR from 1 min on, MAJOR from 4 to 5
                    {"series": f"ptychostream_main_loop_age_seconds{SERVICE}}}", "values": "0.1x11 11 16 21 0.1x20"},
                    {"series": f"up{SERVICE}}}", "values": "1x11 0x11 1x20"},
                ],
                "alert_rule_test": [
                    alerts_at("1m", "ServiceHangs", hangs),
                    alerts_at("1m15s", "ServiceHangs"),
                    alerts_at("1m25s", "ServiceGone"),
                    alerts_at("1m30s", "ServiceGone", gone),
                    alerts_at("2m", "ServiceGone"),
                    alerts_at("2m55s", "MinorAlarm"),
                    alerts_at("3m", "MinorAlarm", firing("warning", "FramesLost", minor)),
                    alerts_at("4m10s", "MajorAlarm"),
                    alerts_at("4m15s", "MajorAlarm", firing("critical", "FramesLost", major)),
                    alerts_at("4m15s", "MinorAlarm"),
                    alerts_at("5m", "MajorAlarm"),
                ],
            }
        ],
    }
    path = tmp_path / "alerts_test.yml"
    path.write_text(yaml.safe_dump(tests))
    assert "SUCCESS" in promtool("test", "rules", path)
