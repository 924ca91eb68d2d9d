"""The options of the command `iocsim`, and the panels of its help in which they stand."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

BEAMLINE = "Beamline"
CAMERA = "Camera"
NETWORK = "Faults of the network"
EXPOSURES = "Faults of exposures"
CLOCKS = "Faults of clocks"
ZMQ = "Frames over ZMQ"
FILES = "Files"


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"iocsim {version('ptychostream')}")
        raise typer.Exit


Prefix = Annotated[str, typer.Option(help="Beginning of every PV name.")]
Replay = Annotated[
    Path | None,
    typer.Option(help="Send the frames of this CXI or /entry file.", metavar="FILE", rich_help_panel=BEAMLINE),
]
Translation = Annotated[
    str,
    typer.Option(
        metavar="sample|probe", help="What the translation in a replayed CXI file moves.", rich_help_panel=BEAMLINE
    ),
]
Shape = Annotated[str, typer.Option(help="Rows and columns of a frame.", metavar="NY,NX", rich_help_panel=CAMERA)]
Energy = Annotated[float | None, typer.Option(help="Photon energy in eV.", rich_help_panel=BEAMLINE)]
Seed = Annotated[int, typer.Option(help="Same seed, same beamline.", rich_help_panel=BEAMLINE)]
Photons = Annotated[float | None, typer.Option(help="Photons on the sample per frame.", rich_help_panel=BEAMLINE)]
Rotate = Annotated[int, typer.Option(help="How the camera is mounted: 0, 90, 180 or 270.", rich_help_panel=CAMERA)]
Flip = Annotated[str, typer.Option(help="How the camera is mounted: none, h, v or hv.", rich_help_panel=CAMERA)]
Stack = Annotated[
    int,
    typer.Option(
        help="Make N frames beforehand and play them round: for high rates.", metavar="N", rich_help_panel=BEAMLINE
    ),
]
Dtype = Annotated[str, typer.Option(help="Pixel type, for example uint16 or uint32.", rich_help_panel=CAMERA)]
Codec = Annotated[
    str,
    typer.Option(
        help="How frames are compressed for PVA and ZMQ1: none, jpeg, zlib, blosc, lz4, lz4hdf5 or bslz4.",
        rich_help_panel=CAMERA,
    ),
]
MotorPoll = Annotated[
    float,
    typer.Option(
        help="Seconds between two polls of the motors: 0.1 is the recorded motor record; "
        "0 is a fast controller, which also reports the end of a move at once.",
        rich_help_panel=BEAMLINE,
    ),
]
Drop = Annotated[float, typer.Option(help="Fraction of the frames that the network loses.", rich_help_panel=NETWORK)]
Duplicate = Annotated[float, typer.Option(help="Fraction of the frames that are sent twice.", rich_help_panel=NETWORK)]
DropIds = Annotated[
    str, typer.Option(help="uniqueIds that the network loses, as 1,7,100-104.", rich_help_panel=NETWORK)
]
DuplicateIds = Annotated[str, typer.Option(help="uniqueIds that are sent twice.", rich_help_panel=NETWORK)]
FarIds = Annotated[str, typer.Option(help="uniqueIds that are sent as 4,000,000 more.", rich_help_panel=NETWORK)]
Reorder = Annotated[
    int, typer.Option(help="Frames leave shuffled among N, by the seed.", metavar="N", rich_help_panel=NETWORK)
]
FaultsFile = Annotated[
    Path | None,
    typer.Option(
        "--faults",
        help="Set the faults of this YAML file: lines such as drop_ids: 1,7 for the PV Sim:DropIds.",
        metavar="FILE",
        rich_help_panel=FILES,
    ),
]
FaultShare = Annotated[float, typer.Option(help="Fraction of the exposures that go wrong.", rich_help_panel=EXPOSURES)]
FaultKinds = Annotated[
    str,
    typer.Option(
        help="How they go wrong, as beam_dump,vibration: all kinds if none is named.",
        metavar="KINDS",
        rich_help_panel=EXPOSURES,
    ),
]
FaultIds = Annotated[
    str,
    typer.Option(
        help="uniqueIds of exposures that go wrong, as beam_dump:100-120,130,vibration:7.",
        metavar="KIND:IDS",
        rich_help_panel=EXPOSURES,
    ),
]
Healthy = Annotated[
    bool,
    typer.Option(
        "--healthy",
        help="With what a healthy beamline has: slow drifts of intensity, pointing and dark, top-up.",
        rich_help_panel=BEAMLINE,
    ),
]
Contrast = Annotated[
    float, typer.Option(help="Contrast of the sample: 1 is strong, 0.15 weak.", rich_help_panel=BEAMLINE)
]
Empty = Annotated[
    float, typer.Option(help="Fraction of the sample's area that is bare membrane.", rich_help_panel=BEAMLINE)
]
ThickEdges = Annotated[
    bool,
    typer.Option(
        "--thick-edges", help="The sample is thick where it borders on bare membrane.", rich_help_panel=BEAMLINE
    ),
]
FrameClockOffset = Annotated[
    float, typer.Option(help="Seconds by which the detector's clock is ahead.", rich_help_panel=CLOCKS)
]
FrameClockStep = Annotated[
    str,
    typer.Option(
        help="Seconds by which it is set ahead, and the first uniqueId (or first-last), as -2.5@100.",
        rich_help_panel=CLOCKS,
    ),
]
FrameClockFreeze = Annotated[
    str,
    typer.Option(help="uniqueIds that carry the time stamp of the frame before, as 100-104.", rich_help_panel=CLOCKS),
]
MotorClockOffset = Annotated[
    float, typer.Option(help="Seconds by which the motors' clock is ahead.", rich_help_panel=CLOCKS)
]
MotorClockStep = Annotated[
    str,
    typer.Option(help="Seconds by which it is set ahead, and the uniqueId that is then next.", rich_help_panel=CLOCKS),
]
MotorClockFreeze = Annotated[
    str, typer.Option(help="uniqueIds while which are next the motors' time stamps stand.", rich_help_panel=CLOCKS)
]
Zmq = Annotated[
    str,
    typer.Option(
        help="Where the plugin ZMQ1: sends frames, as for NDZMQConfigure: tcp://127.0.0.1:5555 PUB, or PUSH, "
        "then BIND or CONNECT.",
        metavar="ADDRESS",
        rich_help_panel=ZMQ,
    ),
]
ZmqOldHeader = Annotated[
    bool, typer.Option("--zmq-old-header", help="ZMQ1: writes headers as before ADZMQ 1.4.0.", rich_help_panel=ZMQ)
]
Simplon = Annotated[
    str,
    typer.Option(
        help="Where a control unit offers SIMPLON stream v1, as tcp://127.0.0.1:9999.",
        metavar="ADDRESS",
        rich_help_panel=ZMQ,
    ),
]
SimplonDetail = Annotated[
    str, typer.Option(help="What its header tells: none, basic or all.", metavar="DETAIL", rich_help_panel=ZMQ)
]
SimplonEncoding = Annotated[
    str,
    typer.Option(
        help="How the control unit compresses, for both of its streams: none, lz4 or bslz4.",
        metavar="ENCODING",
        rich_help_panel=ZMQ,
    ),
]
Stream2 = Annotated[
    str,
    typer.Option(
        help="Where a control unit offers Stream2, as tcp://127.0.0.1:31001.", metavar="ADDRESS", rich_help_panel=ZMQ
    ),
]
Stream2Channels = Annotated[
    int, typer.Option(help="Thresholds that Stream2 sends of each image: 1 or 2.", metavar="N", rich_help_panel=ZMQ)
]
DcuQueue = Annotated[
    int,
    typer.Option(
        help="Messages that the control unit keeps for who pulls them; the next are lost.",
        metavar="N",
        rich_help_panel=ZMQ,
    ),
]
ZmqCurve = Annotated[
    Path | None,
    typer.Option(
        help="CURVE keys of what sends over ZMQ: the certificate file with the secret key.",
        metavar="FILE",
        rich_help_panel=ZMQ,
    ),
]
ZmqServerKey = Annotated[
    Path | None,
    typer.Option(help="Public key of the CURVE server to which ZMQ1: connects.", metavar="FILE", rich_help_panel=ZMQ),
]
Truth = Annotated[
    Path | None,
    typer.Option(help="Write what was really sent here, at the end.", metavar="FILE", rich_help_panel=FILES),
]
References = Annotated[
    Path | None,
    typer.Option(help="Write dark, flat and mask here (.npz or .h5).", metavar="FILE", rich_help_panel=FILES),
]
Interface = Annotated[str, typer.Option(help="Network interface to serve on.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
Version = Annotated[
    bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
]
