"""What it costs that people look: `python measure_faces.py [--rate 1000] [--size 128] [--seconds 20]`.

The same service in front of the same detector, in turns with and without all that looks at it (`faces.py`): page,
screens, metrics, terminal. Prints a line of JSON for each turn; at `--rate 0` more is offered than it carries, so that
the share of the machine that those who look take shows as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from contenders import HERE, Service
from measure_live import BEYOND, PROBE_S, PROBE_STEP, measure, measure_beyond
from source import Camera, beamline

from stream_service.testing.loopback import LOOPBACK, free_port, process_environment


class Watched(Service):
    """The service with everything on, and everything that looks at it."""

    name = "watched"

    def profile(self) -> dict[str, Any]:
        document = super().profile()
        self._metrics_port = free_port()
        document["service"]["metrics_port"] = self._metrics_port
        return document

    def start(self) -> None:
        super().start()
        environment = process_environment(self.network.client_environment())
        metrics_url = f"http://{LOOPBACK}:{self._metrics_port}/metrics"
        arguments = [str(HERE / "faces.py"), str(self.folder / f"{self.name}.yaml"), str(free_port()), metrics_url]
        self._faces = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "faces.log").open("w"),
            text=True,
            env=environment,
        )
        if self._said_by_faces() != "looking":
            raise SystemExit((self.folder / "faces.log").read_text(encoding="utf-8")[-3000:])

    def _said_by_faces(self) -> str:
        assert self._faces.stdout is not None
        return self._faces.stdout.readline().strip()

    def finish(self, n_frames: int) -> dict[str, Any]:
        assert self._faces.stdin is not None
        self._faces.stdin.write("\n")
        self._faces.stdin.flush()
        return super().finish(n_frames) | {"seen": json.loads(self._said_by_faces())}

    def close(self) -> None:
        assert self._faces.stdin is not None
        self._faces.stdin.close()
        self._faces.wait(30)
        super().close()


def turn(service: Service, camera: Camera, rate: float, seconds: float) -> dict[str, Any]:
    """One measurement of a service that is started for it."""
    with service:
        measure(service, camera, rate or 300.0, PROBE_S)  # what is loaded and compiled at the first frames
        if rate:
            return measure(service, camera, rate, seconds)
        probed = measure_beyond(service, camera, 800.0, PROBE_S, PROBE_STEP)
        return measure_beyond(service, camera, BEYOND * probed["sustained_hz"], seconds, BEYOND)


def main(
    rate: Annotated[float, typer.Option(help="Frames per second offered; 0: more than it carries.")] = 1000.0,
    size: Annotated[int, typer.Option(help="Rows and columns of a frame.")] = 128,
    seconds: Annotated[float, typer.Option(help="Length of each turn.")] = 20.0,
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 3,
) -> None:
    """Print one line of JSON for each turn."""
    said = {"size": size, "crop": size, "codec": "none", "per_position": 1}
    with tempfile.TemporaryDirectory() as name, beamline(Path(name), size, "none", sees="service") as (network, camera):
        for number in range(rounds):
            for kind in (Service, Watched):
                service = kind(Path(name), network, size, size, 1, camera.zmq_address)
                found = turn(service, camera, rate, seconds)
                print(json.dumps(said | {"round": number} | found), flush=True)


if __name__ == "__main__":
    typer.run(main)
