"""What Prometheus alarms on is what the service says is an alarm: no limit stands in two places."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ALERTS = Path(__file__).parents[3] / "examples" / "prometheus" / "alerts.yml"
OF_THE_SERVICE_ITSELF = {"ServiceGone", "ServiceHangs"}
"""Of which it cannot tell."""


def test_alerts_have_no_limits_beside_those_of_the_alarms() -> None:
    rules = {rule["alert"]: rule["expr"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
    for name in rules.keys() - OF_THE_SERVICE_ITSELF:
        asked = re.findall(r"ptychostream_\w+", rules[name])
        assert asked and set(asked) <= {"ptychostream_alarm_severity", "ptychostream_readback_connected"}, name
    assert {limit for name in ("MajorAlarm", "MinorAlarm") for limit in re.findall(r"[=>]+ .*$", rules[name])} == {
        ">= 2",
        "== 1",
    }
