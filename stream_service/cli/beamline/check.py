"""The command `check`: findings as they come, or as one JSON object, within a time that is told."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from stream_service.cli.options import ProfileArgument
from stream_service.text.counted import counted
from stream_service.text.terminal import MARKS, bold, console

if TYPE_CHECKING:
    from stream_service.run.live.check_finding import Finding

EPILOG = (
    "Examples: ptychostream check sim;   ptychostream check my-beamline.yaml --json --timeout 20;   "
    "ptychostream check my-beamline.yaml --listen 20"
)
TIMEOUT_S = 60.0
"""For all questions together; each has its own limit, of 1 to 10 s."""


def check(
    profile: ProfileArgument,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=1.0,
            help="Time for the whole check but for a longer --listen, s; what has not answered by then is an error.",
        ),
    ] = TIMEOUT_S,
    listen_s: Annotated[
        float | None,
        typer.Option(
            "--listen",
            min=0.0,
            metavar="SECONDS",
            help="How long to listen for frames; 0: not at all. Not given: 3 s, or 0.5 s while the detector is idle.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: profile, ok, findings (level, about, text).")
    ] = False,
) -> None:
    """Connect to everything a profile names and say in plain words what is wrong; exit code 1 if anything is."""
    from stream_service.settings.beamlines import load_named_profile
    from stream_service.text.log_lines import quiet_pvxs

    quiet_pvxs()
    from stream_service.service.check import check_profile

    findings: list[Finding] = []
    for finding in within(timeout_s + (listen_s or 0.0), check_profile(load_named_profile(profile), listen_s)):
        findings.append(finding)
        if not as_json:
            console.print(MARKS[finding.level], bold(f"{finding.about}:"), finding.text, soft_wrap=True)
    n_errors, n_warnings = (sum(finding.level == level for finding in findings) for level in ("error", "warning"))
    if as_json:
        told = [{"level": each.level, "about": each.about, "text": each.text} for each in findings]
        print(json.dumps({"profile": profile, "ok": not n_errors, "findings": told}, indent=2))
    else:
        console.print(f"{counted(n_errors, 'error')}, {counted(n_warnings, 'warning')}")
    raise typer.Exit(int(n_errors > 0))


class _Overdue(BaseException):
    """The time is over; nothing between here and the command may take it for an error of its own."""


def within(timeout_s: float, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings that come within the time; then an error that says after which there was no time left."""
    from stream_service.run.live.check_finding import Finding

    about = "the beginning"
    try:
        with _alarm(timeout_s) as alarm:
            for finding in findings:
                about = finding.about
                alarm.is_at_work = False
                yield finding
                alarm.is_at_work = True
                if alarm.has_rung:
                    raise _Overdue
    except _Overdue:
        text = f"not done within {timeout_s:g} s: what comes after '{about}' was not checked. Give --timeout more"
        yield Finding("error", "time", text)


class _Alarm:
    """Ends the work when it rings; whoever is shown a finding then is not disturbed."""

    is_at_work = True
    has_rung = False

    def ring(self, _: int, __: FrameType | None) -> None:
        self.has_rung = True
        if self.is_at_work:
            raise _Overdue


@contextmanager
def _alarm(timeout_s: float) -> Iterator[_Alarm]:
    alarm = _Alarm()
    before = signal.signal(signal.SIGALRM, alarm.ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield alarm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
