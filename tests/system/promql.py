"""Names and labels in queries of Prometheus, for tests: what an expression asks for."""

from __future__ import annotations

import re

WORDS = {"sum", "max", "min", "by", "rate", "increase", "histogram_quantile", "label_values", "and", "or", "unless"}
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SELECTOR = re.compile(rf"({NAME.pattern})?\{{([^}}]*)\}}")
MATCHER = re.compile(rf"({NAME.pattern})\s*(?:=~|!~|!=|=)\s*\"[^\"]*\"")
GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")
DURATION = re.compile(r"\[[^]]*\]")
NUMBER = re.compile(r"(?<![a-zA-Z_])\d+(\.\d+)?(e\d+)?")


def labels_in(expression: str) -> set[str]:
    """Labels that are selected, or grouped, by."""
    selected = {label for _, inner in SELECTOR.findall(expression) for label in MATCHER.findall(inner)}
    grouped = {label for inner in GROUPING.findall(expression) for label in NAME.findall(inner)}
    return selected | grouped


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics."""
    rest = SELECTOR.sub(lambda found: f"{found[1] or ''} ", DURATION.sub("", expression))
    rest = NUMBER.sub("", GROUPING.sub("", rest))
    return set(NAME.findall(rest)) - WORDS


def labels_shown(legend: str) -> set[str]:
    """Labels in a legend or a summary, `{{state}}` or `{{ $labels.pv }}`."""
    found = re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_$]+)\s*\}\}", legend)
    return {label for label in found if not label.startswith("$")}
