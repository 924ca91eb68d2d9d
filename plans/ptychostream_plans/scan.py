"""`python -m ptychostream_plans.scan`: one scan by a RunEngine of its own, for the demo and for first tests.

Exit codes: 0 the scan succeeded; 1 it failed, with one sentence on stderr; 2 the options are wrong; 130 it was
interrupted. SIGINT and SIGTERM abort the run: the service's run is aborted, the detector stopped, then it exits.
With `--json` every line on stdout is one JSON object (`start`, `point`, `stop`); all else goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd import Device
from ophyd.signal import EpicsSignalBase

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.energy import Monochromator
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.trajectories.positions_file import load_positions
from ptychostream_plans.trajectories.trajectory import Trajectory
from ptychostream_plans.trajectory_plans import ptycho_fermat, ptycho_positions
from stream_service.cli.app import App
from stream_service.text.counted import counted
from stream_service.text.printable import LINES, printable
from stream_service.text.units import METRES

INTERRUPTED = 130
SETTING_TIMEOUT_S = 20.0  # for an IOC to take a setting while it is staged

MOST_NAMED = 3  # PVs that do not answer

app = App()


@dataclass(frozen=True, slots=True)
class Devices:
    """Connected devices of one scan."""

    detector: PtychoDetector
    stage: ScanStage
    energy: Monochromator
    stream: StreamServiceDevice | None


@app.command()
def scan(
    ioc: Annotated[str, typer.Option(help="Prefix of the beamline's PVs.")] = "SIM:",
    service: Annotated[str, typer.Option(help="Prefix of the streaming service; empty for none.")] = "PTYCHO:",
    points: Annotated[int, typer.Option(min=1, help="Positions of the Fermat spiral.")] = 100,
    step_um: Annotated[float, typer.Option(help="Step of the Fermat spiral, µm.")] = 0.5,
    positions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scan these positions instead: .npy or .csv, x and y in metres.")
    ] = None,
    exposure_s: Annotated[float, typer.Option(help="Exposure time of one frame, s.")] = 0.01,
    frames_per_position: Annotated[int, typer.Option(min=1, help="Frames at each position.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=0, help="Positions that may be exposed again, if their frames are lost or rejected.")
    ] = 0,
    scan_id: Annotated[str | None, typer.Option(help="Names the files; the time, if not given.")] = None,
    path: Annotated[str, typer.Option(help="Folder below the roots of service and detector.")] = "",
    raw_dir: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the raw files, as IOC and service see it.")
    ] = Path(),
    layout: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Layout XML of the raw file, set before the scan.")
    ] = None,
    attributes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="NDAttributes XML of the camera, set with it.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(help="How long to wait for the beamline's PVs.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print progress as lines of JSON.")] = False,
) -> None:
    """Scan the sample and stream the frames into one standardized file."""
    trajectory = None if positions is None else _read_positions(positions)
    _log_to_stderr()
    EpicsSignalBase.set_defaults(connection_timeout=timeout_s, timeout=timeout_s, write_timeout=SETTING_TIMEOUT_S)
    engine = RunEngine({}, context_managers=[])
    interruption = Interruption(engine)
    try:
        devices = _connect(ioc, service, raw_dir, layout, attributes, timeout_s)
        options: dict[str, Any] = {
            "exposure_s": exposure_s,
            "frames_per_position": frames_per_position,
            "repeats": repeats,
            "energy": devices.energy,
            "scan_id": scan_id,
            "path": path,
        }
        used = devices.detector, devices.stage, devices.stream
        if trajectory is None:
            plan = ptycho_fermat(*used, n_points=points, step_m=step_um * 1e-6, **options)
        else:
            plan = ptycho_positions(*used, positions_m=trajectory.positions_m.tolist(), **options)
        progress = Progress(_tell_json if as_json else _tell_words, devices.stream)
        with contextlib.redirect_stdout(sys.stderr):  # the RunEngine prints what it does; stdout is for progress
            engine(plan, progress)
    except (RunEngineInterrupted, KeyboardInterrupt):
        typer.echo("the scan was interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:  # whatever a device or a plan raised becomes one sentence and exit code 1
        raise _failed(error, 1) from error
    finally:
        interruption.restore()


def _read_positions(path: Path) -> Trajectory:
    try:
        return load_positions(path)
    except (OSError, ValueError) as error:
        raise _failed(error, 2) from error


def _connect(
    ioc: str, service: str, raw_dir: Path, layout: Path | None, attributes: Path | None, timeout_s: float
) -> Devices:
    stage = ScanStage(ioc, name="stage")
    energy = Monochromator(f"{ioc}Energy", name="energy")
    for device in (stage, energy):
        _wait_for(device, ioc, timeout_s)
    try:
        detector = PtychoDetector(
            ioc,
            name="detector",
            write_path_template=str(raw_dir.resolve()),
            layout=None if layout is None else layout.resolve(),
            attributes=None if attributes is None else attributes.resolve(),
        )
    except TimeoutError as error:
        raise TimeoutError(f"the detector at {ioc} did not answer within {timeout_s:g} s: {error}") from error
    return Devices(detector, stage, energy, StreamServiceDevice(service, name="stream") if service else None)


def _wait_for(device: Device, ioc: str, timeout_s: float) -> None:
    """Raises `TimeoutError` in one sentence, where ophyd lists every signal of the device."""
    try:
        device.wait_for_connection(timeout=timeout_s)
    except TimeoutError as error:
        signals = [walk.item for walk in device.walk_signals()]
        silent = [signal.pvname for signal in signals if hasattr(signal, "pvname") and not signal.connected]
        named = ", ".join(silent[:MOST_NAMED]) + (f" and {len(silent) - MOST_NAMED} more" * (len(silent) > MOST_NAMED))
        raise TimeoutError(
            f"the beamline at {ioc} did not answer within {timeout_s:g} s (no answer from {named}): is its IOC "
            "running, is the prefix (--ioc) right, and is EPICS_CA_ADDR_LIST?"
        ) from error


class Interruption:
    """SIGINT and SIGTERM abort the RunEngine's plan once; before and after it they end the process."""

    def __init__(self, engine: RunEngine) -> None:
        self._engine = engine
        self._before = {number: signal.signal(number, self._abort) for number in (signal.SIGINT, signal.SIGTERM)}

    def _abort(self, number: int, _: FrameType | None) -> None:
        if self._engine.state == "idle":
            raise KeyboardInterrupt
        if self._engine.state == "running":  # abort waits for the RunEngine, a signal handler must not
            reason = signal.Signals(number).name
            threading.Thread(target=self._abort_plan, args=(reason,), name="abort", daemon=True).start()

    def _abort_plan(self, reason: str) -> None:
        with contextlib.suppress(RuntimeError):  # bluesky's TransitionError: the plan has ended in the meantime
            self._engine.abort(reason)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Progress:
    """Tells how the run goes, from its documents."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], stream: StreamServiceDevice | None) -> None:
        self._tell = tell
        self._stream = stream
        self._primary = ""
        self._units_um: dict[str, float] = {}
        """Units of what is read at each position, in micrometres; 1 where they are of no length."""
        self._n_points = 0
        self._start: dict[str, Any] = {}
        self._account: dict[str, Any] = {}

    def __call__(self, name: str, document: Any) -> None:
        match name:
            case "start":
                self._start = document
                self._tell(
                    {
                        "event": "start",
                        "uid": document["uid"],
                        "scan_id": document["ptychostream"]["scan_id"],
                        "n_points": document["num_points"],
                        "raw_file": document["ptychostream"]["raw_file"],
                    }
                )
            case "descriptor" if document["name"] == "primary":
                self._primary = document["uid"]
                self._units_um = {
                    name: (METRES.factor(key.get("units") or "um") or 1e-6) * 1e6
                    for name, key in document["data_keys"].items()
                }
            case "event" if document["descriptor"] == self._primary:
                self._n_points += 1
                x_name, y_name = self._start["motors"]
                self._tell(
                    {
                        "event": "point",
                        "n": self._n_points,
                        "of": self._start["num_points"],
                        "x_um": round(document["data"][x_name] * self._units_um[x_name], 4),
                        "y_um": round(document["data"][y_name] * self._units_um[y_name], 4),
                        "rows": None if self._stream is None else self._stream.get_index(),
                    }
                )
            case "event" if self._stream is not None and f"{self._stream.name}_state" in document["data"]:
                self._account = {
                    key.removeprefix(f"{self._stream.name}_"): value for key, value in document["data"].items()
                }
            case "stop":
                self._tell(
                    {
                        "event": "stop",
                        "uid": document["run_start"],
                        "exit_status": document["exit_status"],
                        "reason": document["reason"],
                        "n_points": self._n_points,
                        **({"stream": self._account} if self._account else {}),
                    }
                )


def plain_sentence(error: BaseException) -> str:
    """The error in one sentence, without the bookkeeping of status objects around it."""
    while isinstance(error, FailedStatus) and error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s: %(message)s")
    logging.getLogger("ptychostream_plans").setLevel(logging.INFO)  # what became of repeats is worth a sentence
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)  # it logs a traceback of what is told in a sentence


def _failed(error: BaseException, code: int) -> typer.Exit:
    typer.echo(f"scan failed: {printable(plain_sentence(error), keep=LINES)}", err=True)
    return typer.Exit(code)


def _tell_json(message: dict[str, Any]) -> None:
    print(json.dumps(message), file=sys.__stdout__, flush=True)


def _tell_words(message: dict[str, Any]) -> None:
    match message["event"]:
        case "start":
            text = f"scan {message['scan_id']}: {counted(message['n_points'], 'position')}, run {message['uid']}"
        case "point":
            text = f"position {message['n']} of {message['of']}: x {message['x_um']:.3f} µm, y {message['y_um']:.3f} µm"
        case _:
            account = message.get("stream", {})
            file = f", {counted(account['rows'], 'row')}, {account['state']}: {account['file']}" if account else ""
            text = f"run {message['uid']}: {message['exit_status']}{file}"
    print(printable(text), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    app.run()
