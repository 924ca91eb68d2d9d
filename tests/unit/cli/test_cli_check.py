"""`check` says how much is wrong, in words or as JSON, and ends in time."""

import json
import signal
import subprocess
import sys

import pytest

from stream_service.cli.beamline.check import within
from stream_service.run.live.check_finding import Finding

LONG_S = 1000.0


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream_service.cli", "check", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_is_one_object_that_a_script_can_use():
    done = run("hermes", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["profile"]) == (1, False, "hermes")
    assert {"level": "error", "about": "placeholders"}.items() <= told["findings"][0].items()


@pytest.mark.further
def test_words_end_with_how_much_was_found():
    assert run("hermes").stdout.splitlines()[-1] == "1 error, 0 warnings"


def test_check_ends_in_time_and_says_after_what():
    def endless():
        yield Finding("ok", "data_root", "good")
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONG_S
        signal.raise_signal(signal.SIGALRM)  # time has passed
        yield Finding("ok", "never", "reached")

    findings = list(within(LONG_S, endless()))
    assert [finding.about for finding in findings] == ["data_root", "time"]
    assert findings[1].text == (
        "not done within 1000 s: what comes after 'data_root' was not checked. Give --timeout more"
    )


def test_time_that_is_over_while_a_finding_is_shown_disturbs_nobody():
    checked = within(LONG_S, [Finding("ok", "a", ""), Finding("ok", "b", "")])
    assert next(checked).about == "a"
    signal.raise_signal(signal.SIGALRM)
    assert [finding.about for finding in checked] == ["time"]


def test_time_of_an_earlier_check_does_not_end_a_later_one():
    assert [finding.about for finding in within(LONG_S, [Finding("ok", "a", "")])] == ["a"]
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.parametrize("option", ["0", "-1"])
def test_time_must_be_a_time(option: str):
    assert run("hermes", "--timeout", option).returncode == 2
