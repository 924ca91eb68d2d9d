"""`detector.frames` of a profile: one transport, whose settings are checked in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from written_profile import mistake, write

from stream_service.core.frame import Marks
from stream_service.settings.profile_file import load_profile


def test_earlier_names_of_the_channel_are_still_read(tmp_path: Path) -> None:
    given = {"detector.frames": None, "detector.frames_pva": "D:Pva1:Image", "detector.pva_plugin": "D:PvaA:"}
    frames = load_profile(write(tmp_path, given)).detector.frames
    assert frames.pva is not None
    assert (frames.pva.channel, frames.pva.plugin, frames.zmq) == ("D:Pva1:Image", "D:PvaA:", None)


@pytest.mark.parametrize(
    ("transport", "socket", "field", "marks"),
    [
        ("adzmq", "sub", "dataTimeStamp", Marks.END),
        ("simplon", "pull", "timeStamp", Marks.START),
        ("stream2", "pull", "timeStamp", Marks.START),
    ],
)
def test_address_alone_is_one_to_connect_to_and_stamps_are_those_of_the_dialect(
    tmp_path: Path, transport, socket, field, marks
) -> None:
    detector = load_profile(write(tmp_path, {"detector.frames": {transport: "tcp://ioc:5432"}})).detector
    assert detector.frames.zmq is not None
    assert (detector.frames.zmq.connect, detector.frames.zmq.socket) == (("tcp://ioc:5432",), socket)
    assert (detector.frame_time.field, detector.frame_time.marks) == (field, marks)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ({}, "give one of pva, adzmq, simplon, stream2: there is none"),
        ({"pva": "D:Image", "adzmq": "tcp://ioc:1"}, "there is pva and adzmq"),
        ({"adzmq": {}}, "give the address of the sender: connect, or bind"),
        ("tcp://ioc:5432", "detector.frames: say which of pva, adzmq, simplon, stream2 it is, such as {pva: 'tcp://"),
        (
            {"adzmq": "ioc:5432"},
            "detector.frames.adzmq.connect.0: 'ioc:5432' is no address: write it as tcp://host:port",
        ),
        ({"adzmq": "tcp://ioc"}, "'tcp://ioc' is no address"),
        ({"adzmq": "tcp:/ioc:5432"}, "'tcp:/ioc:5432' is no address"),
        ({"adzmq": "tcp://ioc:5432/"}, "'tcp://ioc:5432/' is no address"),
        ({"adzmq": "tcp://ioc:65536"}, "with a port of 1 to 65535"),
        ({"adzmq": "tcp://*:5432"}, "connect needs the host of the sender; a * is for bind"),
        ({"simplon": {"connect": "tcp://dcu:9999", "time_zone": "Mars/Olympus"}}, "is no time zone known here"),
        ({"simplon": {"connect": "tcp://dcu:9999", "curve": {"own": "k"}}}, "curve needs 'sender'"),
        ({"adzmq": {"bind": "tcp://*:1", "curve": {"own": "k"}}}, "curve needs 'senders'"),
        ({"adzmq": {"bind": "tcp://*:1", "connect": "tcp://a:1", "curve": {"own": "k"}}}, "either connect or bind"),
    ],
)
def test_mistake_in_the_frames_is_named(tmp_path: Path, frames, words) -> None:
    assert words in mistake(tmp_path, {"detector.frames": frames})


def test_earlier_names_beside_the_new_one_are_named(tmp_path: Path) -> None:
    given = {"detector.frames": {"adzmq": "tcp://ioc:5432"}, "detector.frames_pva": "D:Pva1:Image"}
    assert "there is frames, and frames_pva, its earlier spelling: take that out" in mistake(tmp_path, given)


def test_ipv6_and_ipc_addresses_are_taken(tmp_path: Path) -> None:
    given = ("tcp://[fe80::1]:5432", "ipc:///tmp/frames", "tcp://10.0.0.1:5432")
    frames = load_profile(write(tmp_path, {"detector.frames": {"adzmq": {"connect": list(given)}}})).detector.frames
    assert frames.adzmq is not None and frames.adzmq.connect == given


def test_meaning_of_stamps_that_a_dialect_does_not_leave_open_is_refused(tmp_path: Path) -> None:
    said = mistake(
        tmp_path, {"detector.frames": {"simplon": "tcp://dcu:9999"}, "detector.frame_time": {"marks": "end"}}
    )
    assert "frame_time.marks of simplon is always start" in said


def test_keys_are_relative_to_the_profile(tmp_path: Path) -> None:
    curve = {"own": "keys/own.key_secret", "sender": "/etc/ioc.key"}
    path = write(tmp_path, {"detector.frames": {"stream2": {"connect": "tcp://dcu:31001", "curve": curve}}})
    frames = load_profile(path).detector.frames.stream2
    assert frames is not None and frames.curve is not None
    assert (frames.curve.own, frames.curve.sender) == (tmp_path / "keys/own.key_secret", Path("/etc/ioc.key"))
