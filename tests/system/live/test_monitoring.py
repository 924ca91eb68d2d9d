"""A daemon that is monitored: by Prometheus, in a terminal, by systemd, in its log."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from limits import HANG_S
from prometheus_client.parser import text_string_to_metric_families
from promql import labels_in, labels_shown, metrics_in
from rig import Rig, Rigs

from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, free_port, process_environment

PORT = free_port()
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    """The socket that systemd listens at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path_factory.mktemp("systemd") / "notify"))
        listening.settimeout(HANG_S)
        yield listening


@pytest.fixture
def rig(ioc: Any, rigs: Rigs, systemd: socket.socket) -> Rig:
    variables = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "1000000"}
    return rigs.beside(ioc.prefix, service={"metrics_port": PORT}, variables=variables)


def heard(systemd: socket.socket, words: str) -> list[str]:
    """What systemd is told until these words come, which are the last."""
    found = [""]
    while words not in found[-1]:
        found.append(systemd.recv(4096).decode())
    return found[1:]


def scraped() -> dict[tuple[str, ...], float]:
    """What Prometheus would get now: values by name and labels."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{PORT}/metrics", timeout=HANG_S) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_systemd_hears_when_it_is_ready_and_that_its_loop_turns(rig: Rig, systemd: socket.socket) -> None:
    before = heard(systemd, "READY=1")
    assert all(words.startswith("STATUS=") for words in before[:-1]), "a watchdog that is fed before tells nothing"
    heard(systemd, "WATCHDOG=1")


def test_metrics_count_over_runs(rig: Rig) -> None:
    before = scraped()
    for number in (1, 2):
        assert rig.arm(f"counted{number}", n_positions=5) == ""
        rig.beamline.acquire(5)
        assert rig.wait_for_end() == "COMPLETE"
        ended = before["ptychostream_runs_total", "COMPLETE"] + number
        rig.service.wait_until(lambda ended=ended: scraped()["ptychostream_runs_total", "COMPLETE"] == ended)
        now = scraped()
        for name in ("ptychostream_frames_received_total", "ptychostream_rows_total"):
            assert now[name,] - before[name,] == 5 * number
        assert now["ptychostream_run_state", "COMPLETE"] == 1 and now["ptychostream_run_rows",] == 5
        assert now["ptychostream_run_info", str(int(rig.service.get("RunNumber"))), f"counted{number}"] == 1


@pytest.mark.further
def test_run_that_goes_on_after_a_kill_is_counted_once(rig: Rig) -> None:
    """Prometheus takes counters that begin at 0 for new events: those before the kill it has been told."""
    assert rig.arm("killed", n_positions=20) == ""
    number = str(int(rig.service.get("RunNumber")))
    rig.beamline.acquire(10)
    rig.service.wait_for("Rows", 10)
    rig.service.wait_until(lambda: scraped()["ptychostream_run_rows",] == 10)
    os.kill(rig.child.process.pid, signal.SIGABRT)  # as systemd's watchdog does
    rig.child.process.wait(HANG_S)
    assert re.search(
        r'Fatal Python error: Aborted.*service/daemon\.py", line \d+ in _serve', rig.child.log.read_text(), re.DOTALL
    )
    rig.start_again()
    rig.service.wait_for("Resuming", 0)
    rig.beamline.acquire(10)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    rig.service.wait_until(lambda: scraped()["ptychostream_runs_total", "COMPLETE"] == 1)
    now = scraped()
    assert now["ptychostream_run_info", number, "killed"] == 1 and now["ptychostream_run_rows",] == 20
    told = {name: now[f"ptychostream_frames_{name}_total",] for name in ("received", "stored", "lost")}
    assert told == {"received": 10, "stored": 10, "lost": 0}


class Screen:
    """`ptychostream status --watch` on a terminal of 80 columns and 24 lines."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        environment = environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen([sys.executable, *command], env=environment, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def wait_for(self, words: str) -> None:
        """Read until the screen shows these words."""
        shown, end_s = "", time.monotonic() + HANG_S
        while words not in shown:
            shown = shown[-20_000:] + self._drawn()
            assert self.process.poll() is None and time.monotonic() < end_s, shown[-3000:]

    def _drawn(self) -> str:
        """What is drawn within a second; empty if nothing is."""
        if not select.select([self._ours], [], [], 1.0)[0]:
            return ""
        with suppress(OSError):
            return os.read(self._ours, 65_536).decode(errors="replace")
        return ""

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        end_s = time.monotonic() + HANG_S
        while self.process.poll() is None and time.monotonic() < end_s:  # what it draws is to be taken
            self._drawn()
        os.close(self._ours)
        return self.process.wait(0)


@pytest.fixture
def watchers(rig: Rig, epics: LoopbackEpics, tmp_path: Path) -> Iterator[tuple[Screen, Subprocess, Subprocess]]:
    """The three kinds of `status --watch`: on a terminal, as lines, as JSON."""
    command = ["-m", "stream_service.cli", "status", "--watch", "--prefix", rig.service.prefix]
    environment = process_environment(epics.client_environment())
    with ExitStack() as stack:
        lines = stack.enter_context(Subprocess("lines", command, environment, tmp_path / "lines.log"))
        objects = stack.enter_context(Subprocess("json", [*command, "--json"], environment, tmp_path / "json.log"))
        screen = Screen(command, environment)
        stack.callback(screen.process.kill)
        yield screen, lines, objects


def served() -> dict[str, set[str]]:
    """Names of all samples that are served now, and the labels of each; those that Prometheus adds among them."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{PORT}/metrics", timeout=HANG_S) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: {*sample.labels, "instance", "job"} for sample in samples} | {"up": {"instance", "job"}}


def test_dashboard_and_alarms_ask_for_what_is_served(rig: Rig) -> None:
    """After a run: each name and label of each query, and each label of a legend; each panel has a unit."""
    assert rig.arm("asked_for", n_positions=2) == ""
    rig.beamline.acquire(2)
    assert rig.wait_for_end() == "COMPLETE"
    rig.service.wait_until(lambda: scraped()["ptychostream_run_state", "COMPLETE"])
    now = served()
    board = json.loads((EXAMPLES / "grafana" / "ptychostream.json").read_text())
    queries = []
    for panel in board["panels"]:
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"], panel
        queries += [(target["expr"], target["legendFormat"]) for target in panel["targets"]]
    rules = yaml.safe_load((EXAMPLES / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    queries += [(rule["expr"], rule["annotations"]["summary"]) for rule in rules]
    assert len(queries) > 30
    for expression, legend in queries:
        names = metrics_in(expression)
        assert names and names <= now.keys(), expression
        labels = set.union(*(now[name] for name in names))
        assert labels_in(expression) | labels_shown(legend) <= labels, (expression, legend)
    for variable in board["templating"]["list"][1:]:
        name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        assert label in now[name]


def test_watchers_are_told_of_a_run_and_of_a_service_that_goes_and_comes_back(
    rig: Rig, watchers: tuple[Screen, Subprocess, Subprocess], tmp_path: Path
) -> None:
    screen, lines, objects = watchers
    shown = json.loads(objects.wait_for("{", HANG_S))
    assert shown["Health"] == "READY" and isinstance(shown["alarms"], dict)
    screen.wait_for(", up ")
    lines.wait_for(" | ", HANG_S)
    assert rig.arm("watched", n_positions=3) == ""
    rig.beamline.acquire(3)
    screen.wait_for("COMPLETE")
    lines.wait_for(" COMPLETE | watched | ", HANG_S)
    while shown["State"] != "COMPLETE" or shown["ScanId"] != "watched":
        shown = json.loads(objects.wait_for("{", HANG_S))
    assert shown["FramesStored"] == 3
    os.kill(rig.child.process.pid, signal.SIGSTOP)  # it hangs: its connections stay
    screen.wait_for("NO ANSWER")
    lines.wait_for("NO ANSWER", HANG_S)
    assert "no service answers" in json.loads(objects.wait_for("error", HANG_S))["error"]
    os.kill(rig.child.process.pid, signal.SIGCONT)
    lines.wait_for("COMPLETE", HANG_S)
    objects.wait_for('"State": "COMPLETE"', HANG_S)
    rig.kill()
    lines.wait_for("NO ANSWER", HANG_S)
    objects.wait_for("error", HANG_S)
    rig.start_again()
    screen.wait_for("COMPLETE")
    lines.wait_for("COMPLETE", HANG_S)
    objects.wait_for('"State": "COMPLETE"', HANG_S)
    for log in tmp_path.glob("*.log"):
        assert log.read_text() == "", "libca's banners would be drawn over the screen"
    assert screen.end() == lines.end(signal.SIGINT) == objects.end(signal.SIGINT) == 0


def test_log_names_the_scan_and_its_level_follows_signals(rig: Rig) -> None:
    def has_logged(words: str) -> bool:
        return words in rig.child.log.read_text()

    for number, level in ((signal.SIGUSR1, "debug"), (signal.SIGUSR2, "info"), (signal.SIGUSR2, "warning")):
        os.kill(rig.child.process.pid, number)
        rig.service.wait_until(lambda level=level: has_logged(f"logging {level}, and what is worse"))
    os.kill(rig.child.process.pid, signal.SIGUSR1)
    rig.service.wait_until(lambda: rig.child.log.read_text().count("logging info") == 2)
    assert rig.arm("logged", n_positions=2) == ""
    rig.beamline.acquire(2)
    assert rig.wait_for_end() == "COMPLETE"
    rig.service.wait_until(lambda: has_logged("INFO COMPLETE: 2 of 2 frames stored in 2 rows [logged]"))


def test_systemd_hears_of_the_run_and_of_the_end(rig: Rig, rigs: Rigs, systemd: socket.socket) -> None:
    assert rig.arm("told", n_positions=2) == ""
    rig.beamline.acquire(2)
    heard(systemd, "STATUS=COMPLETE told: 2 of 2 frames stored")
    rigs.close()
    heard(systemd, "STOPPING=1")
