"""`ptychostream web` as a process."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from limits import HANG_S

from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, free_port, process_environment

DESKTOP, PHONE = {"width": 1920, "height": 1080}, {"width": 390, "height": 844}


@dataclass(frozen=True)
class PageServer:
    """A running one."""

    port: int
    child: Subprocess
    ready_line: str

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text of an answer; `Host_` for a header `Host`. Redirections are not followed."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=HANG_S)
        try:
            named = {name.strip("_").replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()


@contextmanager
def page_server(profile: Path, epics: LoopbackEpics, *options: str) -> Iterator[PageServer]:
    """`ptychostream web` for a profile, with these options; ends with the block."""
    port = int(options[options.index("--port") + 1]) if "--port" in options else free_port()
    environment = process_environment(epics.client_environment())
    command = ["-m", "stream_service.cli", "web", str(profile), *options]
    command += [] if "--port" in options else ["--port", str(port)]
    log = profile.parent / f"web{port}-{time.monotonic_ns()}.log"
    with Subprocess("web", command, environment, log) as child:
        yield PageServer(port, child, child.wait_for("ready", HANG_S))
