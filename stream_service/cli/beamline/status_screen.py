"""One screen of `ptychostream status --watch`, and one line of it where the output is no terminal.

It fits 80 columns and 24 lines. What is wrong is said by a word, and coloured besides.
"""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream_service.core.run import RunState
from stream_service.service.remote import Seen
from stream_service.settings.service_status import Severity
from stream_service.settings.status_table import ServicePV
from stream_service.text.duration import duration

BAR_CHARACTERS = 40
MESSAGE_LINES, ALARM_LINES = 3, 2
STATE_STYLES = {
    RunState.ARMED: "bold cyan",
    RunState.RECEIVING: "bold green",
    RunState.DRAINING: "bold yellow",
    RunState.COMPLETE: "bold green",
    RunState.INCOMPLETE: "bold yellow",
    RunState.ABORTED: "bold magenta",
    RunState.FAILED: "bold red",
}
ALARM_STYLES = {
    Severity.MINOR.name: "black on yellow",
    Severity.MAJOR.name: "bold white on red",
    Severity.INVALID.name: "bold white on magenta",
}
ROWS = (
    ("rows, rate, latency", (ServicePV.ROWS, ServicePV.ROWS_PER_SECOND, ServicePV.LATENCY)),
    ("received, rate, of", (ServicePV.FRAMES_RECEIVED, ServicePV.FRAMES_PER_SECOND, ServicePV.FRAMES_EXPECTED)),
    ("stored, backfilled, lost", (ServicePV.FRAMES_STORED, ServicePV.FRAMES_BACKFILLED, ServicePV.FRAMES_LOST)),
    ("queue, its most", (ServicePV.QUEUE_BYTES, ServicePV.MOST_QUEUE_BYTES)),
    ("x, y, energy", (ServicePV.LAST_X, ServicePV.LAST_Y, ServicePV.LAST_ENERGY)),
    ("intensity, saturated", (ServicePV.LAST_INTENSITY, ServicePV.LAST_SATURATED)),
    ("latest row", (ServicePV.LAST_TIME,)),
    ("judged, rejected", (ServicePV.ROWS_JUDGED, ServicePV.ROWS_REJECTED, ServicePV.REJECTED_SHARE)),
    ("latest rejected", (ServicePV.LAST_REJECTED,)),
    ("readbacks lost", (ServicePV.READBACKS_LOST, ServicePV.READBACK_PROBLEM)),
    ("disk", (ServicePV.DISK_FREE, ServicePV.DATA_ROOT)),
    ("file", (ServicePV.FILE,)),
)
"""Label, and the PVs that stand there beside one another."""


def with_alarm(pv: ServicePV, seen: Seen) -> Text:
    """A value, and the word of its alarm if it has one."""
    value = seen.values[pv]
    shown = f"{float(value) / 1e6:.1f} MB" if pv.type.unit == "bytes" else pv.type.in_words(value)
    return and_alarm(Text(shown), pv, seen)


def and_alarm(text: Text, pv: ServicePV, seen: Seen) -> Text:
    """A text about a PV, with the word of its alarm added if it has one."""
    if word := seen.alarms.get(pv):
        text.append(" ").append(word, ALARM_STYLES[word])
    return text


def screen(prefix: str, seen: Seen) -> RenderableType:
    """The service as it is now."""
    value = seen.values
    state = str(value[ServicePV.STATE])
    style = STATE_STYLES.get(RunState(state), "bold") if state in list(RunState) else "bold"
    head = and_alarm(Text.assemble((state, style)), ServicePV.STATE, seen)
    service = f"{prefix} {value[ServicePV.HEALTH]}, up {duration(float(value[ServicePV.HEARTBEAT]))}"
    head.append(f"   run {value[ServicePV.RUN_NUMBER]}").append(f"   {service}", "dim")
    scan = Text(str(value[ServicePV.SCAN_ID]), "bold", no_wrap=True, overflow="ellipsis")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=max(len(label) for label, _ in ROWS))
    table.add_column(no_wrap=True, overflow="ellipsis")
    for label, pvs in ROWS:
        table.add_row(label, Text("   ", no_wrap=True, overflow="ellipsis").join(with_alarm(pv, seen) for pv in pvs))
    alarms = ", ".join(f"{pv} {word}" for pv, word in seen.alarms.items()) or "none"
    about = Text.assemble(("alarms  ", "dim"), (_shortened(alarms, ALARM_LINES), "bold" if seen.alarms else ""))
    message = Text(_shortened(str(value[ServicePV.MESSAGE]), MESSAGE_LINES), "italic")
    return Group(head, scan, _progress(seen), message, Text(), table, about)


def away(prefix: str, seconds: float) -> RenderableType:
    """Nobody answers."""
    head = Text("NO ANSWER", ALARM_STYLES[Severity.MAJOR.name])
    words = f"no service answers at {prefix} since {seconds:.0f} s: it is looked for. Is 'ptychostream run' up?"
    return Group(head, Text(), Text(words))


def line(seen: Seen) -> str:
    """The same in one line, without a date."""
    value = seen.values
    parts = [str(value[ServicePV.STATE]), str(value[ServicePV.SCAN_ID])]
    shown = (ServicePV.PERCENT, ServicePV.ROWS, ServicePV.ROWS_PER_SECOND, ServicePV.FRAMES_LOST, ServicePV.LATENCY)
    names = ("done", "stored", "", "lost", "latency")
    for pv, name in zip(shown, names, strict=True):
        parts.append(f"{name} {pv.type.in_words(value[pv])}".strip())
    parts += [f"{pv} {word}" for pv, word in seen.alarms.items()]
    parts.append(str(value[ServicePV.MESSAGE]))
    return " | ".join(filter(None, parts))


def _progress(seen: Seen) -> RenderableType:
    """How far the run is, and how long it takes still."""
    percent, left_s = (float(seen.values[pv]) for pv in (ServicePV.PERCENT, ServicePV.SECONDS_LEFT))
    rows = f"{seen.values[ServicePV.ROWS]} rows"
    if math.isnan(percent):
        return Text(f"{rows}; how many come is not known")
    expected = seen.values[ServicePV.ROWS_EXPECTED]
    left = "" if not left_s > 0 else f", {duration(round(left_s))} left"
    grid = Table.grid(padding=(0, 1))
    words = f"{percent:.1f} %  {seen.values[ServicePV.ROWS]} of {expected} rows{left}"
    grid.add_row(ProgressBar(total=100, completed=percent, width=BAR_CHARACTERS), Text(words, no_wrap=True))
    return grid


def _shortened(text: str, n_lines: int) -> str:
    """At most so many characters as fit into these lines of a screen of 80; words are not broken."""
    most = 65 * n_lines
    return text if len(text) <= most else text[: most - 1] + "…"
