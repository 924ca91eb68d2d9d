"""Transport of a detector's frames: one of several, with settings of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.settings.base import Settings

MiB = 1 << 20
ADDRESS = re.compile(r"tcp://(?P<host>[^\s:/]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})|ipc://\S+")
"""`tcp://host:port` or `ipc:///path`."""
LARGEST_PORT = 65535


def _is_an_address(text: str) -> str:
    found = ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 1) <= LARGEST_PORT:
        raise ValueError(f"{text!r} is no address: write it as tcp://host:port, with a port of 1 to {LARGEST_PORT}")
    return text


Address = Annotated[str, AfterValidator(_is_an_address)]
FRAME_TIMES: dict[str, dict[str, str]] = {
    "adzmq": {"field": "dataTimeStamp"},
    "simplon": {"marks": "start"},
    "stream2": {"marks": "start"},
}
"""What a transport leaves no choice of in `detector.frame_time`."""


class Curve(Settings):
    """Keys of CURVE: certificate files as `zmq.auth.create_certificates` of pyzmq makes them."""

    own: Path
    """The service's own secret key file (`.key_secret`)."""
    sender: Path | None = None
    """Public key file of the sender, to whose addresses the service connects."""
    senders: Path | None = None
    """Folder with the public key files of those that may connect to an address that the service binds."""


class PvaFrames(Settings):
    """NDPluginPva of an areaDetector."""

    channel: str
    """Its channel (`BL1:Pva1:Image`)."""
    plugin: str = ""
    """Prefix of the plugin (`BL1:Pva1:`), to tell why no frames come; found from a channel like `…:Image`."""


class ZmqFrames(Settings):
    """Addresses and limits of a ZMQ socket."""

    connect: tuple[Address, ...] = ()
    """Address, or list of addresses, of senders that bind, such as `tcp://ioc:5432`."""
    bind: tuple[Address, ...] = ()
    """Address, or list of addresses, of this machine to which senders connect, such as `tcp://*:5432`."""
    socket: Literal["sub", "pull"] = "pull"
    """`sub` if the sender publishes (PUB), `pull` if it pushes (PUSH): whoever else pulls from it takes frames away."""
    largest_message_MiB: Annotated[float, Field(gt=0, le=MOST_FRAME_BYTES / MiB)] | None = None
    """A sender of a larger part is cut off. Not given: twice a frame of `detector.sensor_shape` of 4 bytes a pixel, or
    256 MiB where that is not given."""
    curve: Curve | None = None
    """Keys, where frames are encrypted: who does not have them neither sends nor receives."""

    @field_validator("connect", "bind", mode="before")
    @classmethod
    def _one_is_enough(cls, addresses: Any) -> Any:
        return (addresses,) if isinstance(addresses, str) else addresses

    @model_validator(mode="after")
    def _has_an_address_and_its_keys(self) -> Self:
        if not self.connect and not self.bind:
            raise ValueError("give the address of the sender: connect, or bind where the sender connects")
        if any("*" in address for address in self.connect):
            raise ValueError("connect needs the host of the sender; a * is for bind, where the sender connects")
        if self.curve is None:
            return self
        if self.connect and self.bind:
            raise ValueError("with curve, give either connect or bind: the keys of the two have different parts")
        if self.connect and self.curve.sender is None:
            raise ValueError("curve needs 'sender', the public key file of the sender to which the service connects")
        if self.bind and self.curve.senders is None:
            raise ValueError("curve needs 'senders', the folder of the public keys that may connect")
        return self


class AdzmqFrames(ZmqFrames):
    """NDPluginZMQ of an areaDetector (ADZMQ)."""

    socket: Literal["sub", "pull"] = "sub"
    plugin: str = ""
    """Prefix of the plugin (`BL1:ZMQ1:`), to tell why no frames come."""


class SimplonFrames(ZmqFrames):
    """Stream interface of a Dectris detector in the format legacy (`tcp://dcu:9999`)."""

    time_zone: str = ""
    """Of the control unit, such as `Europe/Zurich`: an EIGER X says when it was armed by its local time. Without it,
    its frames have no time."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name:
            try:
                ZoneInfo(name)
            except (ValueError, OSError, ZoneInfoNotFoundError) as error:
                raise ValueError(f"{name!r} is no time zone known here, such as Europe/Zurich or UTC") from error
        return name


class Stream2Frames(ZmqFrames):
    """Stream interface of a Dectris detector in the format cbor (`tcp://dcu:31001`)."""

    channel: str = ""
    """Of a detector with several thresholds: the name of the one whose images are taken, such as `threshold_1`."""


class Frames(Settings):
    """How the frames come: exactly one of `pva`, `adzmq`, `simplon` and `stream2`, such as `{pva: "BL1:Pva1:Image"}` or
    `{stream2: "tcp://dcu:31001"}`: a text alone is the PVA channel, or the address to connect to. See
    [Frames over ZMQ](../how-to/frames-over-zmq.md). `frames_pva` and `pva_plugin` of earlier profiles are read as
    `pva`."""

    pva: PvaFrames | None = None
    adzmq: AdzmqFrames | None = None
    simplon: SimplonFrames | None = None
    stream2: Stream2Frames | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_a_transport(cls, given: Any) -> Any:
        if isinstance(given, str):
            raise ValueError(f"say which of pva, adzmq, simplon, stream2 it is, such as {{pva: {given!r}}}")
        return given

    @field_validator("pva", mode="before")
    @classmethod
    def _is_a_channel(cls, given: Any) -> Any:
        return {"channel": given} if isinstance(given, str) else given

    @field_validator("adzmq", "simplon", "stream2", mode="before")
    @classmethod
    def _is_an_address(cls, given: Any) -> Any:
        return {"connect": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"give one of pva, adzmq, simplon, stream2: there is {said}")
        return self

    @property
    def zmq(self) -> ZmqFrames | None:
        """The settings of the socket; None for PVA."""
        return self.adzmq or self.simplon or self.stream2


def with_frames(detector: dict[str, Any]) -> dict[str, Any]:
    """A detector's settings as they are given, with `frames` for the earlier `frames_pva` and `pva_plugin`.

    Raises `ValueError` where both are given.
    """
    earlier = [name for name in ("frames_pva", "pva_plugin") if name in detector]
    if "frames" in detector and earlier:
        raise ValueError(f"there is frames, and {' and '.join(earlier)}, its earlier spelling: take that out")
    if "frames" in detector or "frames_pva" not in detector:
        return detector
    plugin = {"plugin": detector["pva_plugin"]} if "pva_plugin" in detector else {}
    others = {name: value for name, value in detector.items() if name not in ("frames_pva", "pva_plugin")}
    return {"frames": {"pva": {"channel": detector["frames_pva"], **plugin}}, **others}


def with_frame_time(detector: dict[str, Any]) -> dict[str, Any]:
    """A detector's settings as they are given, with what its transport says of the stamps, which may not differ."""
    frames, frame_time = detector.get("frames"), detector.get("frame_time", {})
    if not isinstance(frames, dict) or not isinstance(frame_time, dict):
        return detector
    for transport, said in FRAME_TIMES.items():
        if frames.get(transport) is None:
            continue
        for name, value in said.items():
            if frame_time.get(name, value) != value:
                raise ValueError(f"frame_time.{name} of {transport} is always {value}: write that, or leave it out")
        frame_time = {**frame_time, **said}
    return {**detector, "frame_time": frame_time}


def with_absolute_keys(frames: Frames, folder: Path) -> Frames:
    """The settings with the paths of the keys relative to a folder made absolute."""
    zmq = frames.zmq
    if zmq is None or zmq.curve is None:
        return frames
    named = {name: folder / path.expanduser() for name, path in zmq.curve if path is not None}
    own = zmq.model_copy(update={"curve": zmq.curve.model_copy(update=named)})
    return frames.model_copy(update={name: own for name, value in frames if value is zmq})
