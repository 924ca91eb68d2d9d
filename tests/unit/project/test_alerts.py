"""What Prometheus alarms on is what the service says is an alarm: no limit stands in two places."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ALERTS = Path(__file__).parents[3] / "examples" / "prometheus" / "alerts.yml"
OF_THE_SERVICE_ITSELF = {"ServiceGone", "ServiceHangs"}
"""Of which it cannot tell."""


def test_alerts_are_looked_at_as_often_as_the_shortest_waits() -> None:
    """Prometheus looks once a minute by itself: 15 s would be two minutes."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    (scraped,) = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text())["scrape_configs"]
    assert group["interval"] == scraped["scrape_interval"] == "5s"


def test_alerts_keep_all_labels_of_what_they_are_about() -> None:
    """Whoever routes them does so by labels of their own, as the example's `beamline`."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    assert [rule["alert"] for rule in group["rules"] if re.search(r"\b(by|without)\b", rule["expr"])] == []


def test_alerts_have_no_limits_beside_those_of_the_alarms() -> None:
    rules = {rule["alert"]: rule["expr"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
    for name in rules.keys() - OF_THE_SERVICE_ITSELF:
        asked = re.findall(r"ptychostream_\w+", rules[name])
        assert asked and set(asked) <= {"ptychostream_alarm_severity", "ptychostream_readback_connected"}, name
    assert {limit for name in ("MajorAlarm", "MinorAlarm") for limit in re.findall(r"[=>]+ .*$", rules[name])} == {
        ">= 2",
        "== 1",
    }
