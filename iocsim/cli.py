"""The command `iocsim`: options in, a served beamline out. Exit code 0 after SIGINT or SIGTERM, 2 for a bad option."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand

from iocsim import options
from iocsim.detector.codecs import COMPRESSORS
from iocsim.fault_values import fraction, n_frames, poll_period_s
from iocsim.faults import Faults
from iocsim.frame_fault_pvs import fault_ids_shown, kinds_shown
from iocsim.ioc import Ioc
from iocsim.option_values import clock_of, faults_of, one_of, refuse_unwritable, shape_of, taken
from iocsim.physics.beamline import Beamline, BeamlineConfig, make_beamline
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import FrameFaults
from iocsim.references import write_references
from iocsim.unique_ids import FaultError, parse_ids
from iocsim.zmq.address import AddressError
from iocsim.zmq.pixel_encodings import ENCODINGS
from iocsim.zmq.settings import ZmqSettings
from iocsim.zmq.simplon import DETAILS

DEFAULT_CA_PORT = 5064

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


class Command(TyperCommand):
    """A command that says which of several values of an option counts, and refuses several files."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in dict.fromkeys(given):
            if sum(other is option for other in given) == 1 or getattr(option, "is_flag", False):
                continue
            if option.name in ("replay", "truth", "references", "faults_file"):
                typer.echo(f"iocsim: {option.opts[0]} is given more than once: give it once", err=True)
                raise typer.Exit(2)
            last = values[str(option.name)]
            typer.echo(f"iocsim: {option.opts[0]} is given more than once: the last counts, {last}", err=True)
        return super().parse_args(ctx, args)


@app.command(cls=Command)
def run(
    prefix: options.Prefix = "SIM:",
    replay: options.Replay = None,
    translation: options.Translation = "sample",
    shape: options.Shape = "128,160",
    energy: options.Energy = None,
    seed: options.Seed = 1,
    photons: options.Photons = None,
    rotate: options.Rotate = 0,
    flip: options.Flip = "none",
    stack: options.Stack = 0,
    dtype: options.Dtype = "uint16",
    codec: options.Codec = "none",
    motor_poll: options.MotorPoll = 0.0,
    drop: options.Drop = 0.0,
    duplicate: options.Duplicate = 0.0,
    drop_ids: options.DropIds = "",
    duplicate_ids: options.DuplicateIds = "",
    far_ids: options.FarIds = "",
    reorder: options.Reorder = 0,
    fault_share: options.FaultShare = 0.0,
    fault_kinds: options.FaultKinds = "",
    fault_ids: options.FaultIds = "",
    healthy: options.Healthy = False,
    contrast: options.Contrast = 1.0,
    empty: options.Empty = 0.0,
    thick_edges: options.ThickEdges = False,
    frame_clock_offset: options.FrameClockOffset = 0.0,
    frame_clock_step: options.FrameClockStep = "",
    frame_clock_freeze: options.FrameClockFreeze = "",
    motor_clock_offset: options.MotorClockOffset = 0.0,
    motor_clock_step: options.MotorClockStep = "",
    motor_clock_freeze: options.MotorClockFreeze = "",
    zmq: options.Zmq = "",
    zmq_old_header: options.ZmqOldHeader = False,
    simplon: options.Simplon = "",
    simplon_detail: options.SimplonDetail = "basic",
    simplon_encoding: options.SimplonEncoding = "none",
    stream2: options.Stream2 = "",
    stream2_channels: options.Stream2Channels = 1,
    dcu_queue: options.DcuQueue = 1000,
    zmq_curve: options.ZmqCurve = None,
    zmq_server_key: options.ZmqServerKey = None,
    faults_file: options.FaultsFile = None,
    truth: options.Truth = None,
    references: options.References = None,
    interface: options.Interface = "127.0.0.1",
    quiet: options.Quiet = False,
    _version: options.Version = False,
) -> None:
    """Simulate a ptychography beamline: motors, energy and an areaDetector over CA, frames over PVA and ZMQ.

    For example: a beamline that loses the first frame and one in twenty of the others, and says later which:

        iocsim --prefix SIM: --shape 256,256 --drop 0.05 --drop-ids 1 --truth /tmp/truth.npz

    One in fifty of its exposures goes wrong, and the truth says how; the beam is dumped during exposures 100 to 120:

        iocsim --healthy --fault-share 0.02 --fault-ids beam_dump:100-120 --truth /tmp/truth.npz

    Faults can be had from a file, too: `--faults FILE`, with lines such as

        drop_fraction: 0.05
        restart: 2@100        # away for 2 s before frame 100
        position_nan: [40, 41]

    Then, elsewhere: `caput SIM:cam1:Acquire 1`. Ctrl-C ends it.
    """
    try:
        given = {"energy_eV": energy, "photons_per_frame": photons, "stack_frames": stack or None}
        config = BeamlineConfig(
            shape=shape_of(shape),
            seed=seed,
            rotate=one_of("--rotate", rotate, (0, 90, 180, 270)),
            flip=one_of("--flip", flip, ("none", "h", "v", "hv")),
            dtype=dtype,
            frames="stack" if stack else "simulated",
            replay=replay,
            contrast=contrast,
            empty_share=empty,
            thick_edges=thick_edges,
            probe_moves=one_of("--translation", translation, ("sample", "probe")) == "probe",
            **{name: value for name, value in given.items() if value is not None},
        )
        for option, share in (("--drop", drop), ("--duplicate", duplicate), ("--fault-share", fault_share)):
            taken(option, share, fraction)
        taken("--motor-poll", motor_poll, poll_period_s)
        compressors = {compressor.lower(): compressor for compressor in COMPRESSORS}
        if codec not in compressors:
            raise ValueError(f"--codec {codec}: use {', '.join(compressors)}")
        for option, path in (("--truth", truth), ("--references", references)):
            if path is not None and replay is not None and path.exists() and path.samefile(replay):
                raise ValueError(f"{option} {path} is the file that is replayed, and would destroy it: choose another")
            if path is not None:
                refuse_unwritable(option, path)
        faults = Faults(
            seed,
            drop,
            duplicate,
            taken("--drop-ids", drop_ids, parse_ids),
            taken("--duplicate-ids", duplicate_ids, parse_ids),
            taken("--far-ids", far_ids, parse_ids),
            reorder=taken("--reorder", reorder, n_frames),
        )
        frames_are_given = replay is not None or stack > 0
        frame_faults = FrameFaults(
            seed,
            fault_share,
            taken("--fault-kinds", fault_kinds, partial(kinds_shown, frames_are_given=frames_are_given)),
            taken("--fault-ids", fault_ids, partial(fault_ids_shown, frames_are_given=frames_are_given)),
        )
        if healthy and frames_are_given:
            raise ValueError("--healthy is for frames that are simulated one by one: leave out --stack and --replay")
        frame_clock = clock_of("--frame-clock", frame_clock_offset, frame_clock_step, frame_clock_freeze)
        motor_clock = clock_of("--motor-clock", motor_clock_offset, motor_clock_step, motor_clock_freeze)
        settings = ZmqSettings.parse(
            array=zmq,
            old_header=zmq_old_header,
            simplon=simplon,
            detail=one_of("--simplon-detail", simplon_detail, DETAILS),
            encoding=one_of("--simplon-encoding", simplon_encoding, ENCODINGS),
            stream2=stream2,
            n_channels=one_of("--stream2-channels", stream2_channels, (1, 2)),
            n_kept=dcu_queue,
            key_file=zmq_curve,
            server_key_file=zmq_server_key,
        )
        given_faults = {} if faults_file is None else faults_of(faults_file)
        _refuse_taken_ports(interface)
        beamline = make_beamline(config)
        if references is not None:
            write_references(beamline, references)
    except (ValueError, OSError) as error:
        typer.echo(f"iocsim: {error}", err=True)
        raise typer.Exit(2) from error
    try:
        asyncio.run(
            _serve(
                beamline,
                prefix,
                interface,
                quiet,
                faults=faults,
                frame_faults=frame_faults,
                drifts=Drifts.healthy(seed) if healthy else Drifts(),
                frame_clock=frame_clock,
                motor_clock=motor_clock,
                truth_file=truth,
                compressor=compressors[codec],
                motor_poll_s=motor_poll,
                zmq=settings,
                given_faults=given_faults,
            )
        )
    except FaultError as error:
        typer.echo(f"iocsim: --faults {faults_file}: {error}", err=True)
        raise typer.Exit(2) from error
    except AddressError as error:
        typer.echo(f"iocsim: {error}", err=True)
        raise typer.Exit(2) from error
    finally:
        beamline.close()


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without µ is no reason to fail
    app()


async def _serve(
    beamline: Beamline,
    prefix: str,
    interface: str,
    quiet: bool,
    given_faults: Mapping[str, Any],
    **settings: Any,
) -> None:
    """`settings` are those of `Ioc`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ioc = Ioc(beamline, prefix, **settings)

    def announce() -> None:
        if not quiet:
            rows, columns = beamline.frames.raw_shape
            typer.echo(
                f"iocsim ready: prefix {prefix}, {rows}x{columns} {beamline.frames.dtype.name}, PVs: {len(ioc.pvs)}"
            )

    await ioc.serve(interface, stop, announce, given_faults)


def _refuse_taken_ports(interface: str) -> None:
    """Refuse ports on which clients would not find us.

    Of two CA servers on one port only the last is reachable, and the other never notices. A PVA server whose port is
    taken goes to another by itself, which is fine as long as nobody chose the port for clients to go to.
    """
    ports = {"EPICS_CA_SERVER_PORT": int(os.environ.get("EPICS_CA_SERVER_PORT", DEFAULT_CA_PORT))}
    if "EPICS_PVAS_SERVER_PORT" in os.environ:
        ports["EPICS_PVAS_SERVER_PORT"] = int(os.environ["EPICS_PVAS_SERVER_PORT"])
    for name, port in ports.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((interface, port))
            except OSError as error:
                raise OSError(
                    f"port {port} on {interface} cannot be used ({error.strerror}): another server runs there; "
                    f"set {name} to a free port"
                ) from error
