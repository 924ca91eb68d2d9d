"""A client over PVA that asks for a long queue and takes nothing does not have the service keep every image."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from limits import HANG_S
from p4p import listRefs
from p4p.server import Server

from stream_service.publishers import pva_backlog, pva_server
from stream_service.publishers.pva_images import PvaImages
from stream_service.publishers.pva_server import PvaServer

CLIENT = """
import json, sys, time
from p4p.client.thread import Context
context = Context("pva", conf=json.loads(sys.argv[1]), useenv=False, nt=False)
seen = context.monitor("X:Image", lambda update: print("update", flush=True), request=sys.argv[2])
time.sleep(3600)
"""
IMAGE = np.zeros((512, 512), np.float32)
LONG, USUAL = "record[queueSize=100000]field()", "field()"


@pytest.fixture
def images() -> PvaImages:
    return PvaImages(("Image",))


@pytest.fixture
def server(images: PvaImages, monkeypatch: pytest.MonkeyPatch) -> Iterator[PvaServer]:
    monkeypatch.setattr(pva_server, "Server", lambda providers: Server(providers=providers, isolate=True))
    monkeypatch.setattr(pva_server, "LOOK_S", 0.0)
    monkeypatch.setattr(pva_backlog, "BEHIND_S", 0.5)
    running = PvaServer("X:", images.channels, images.backlog)
    yield running
    running.close()


@pytest.fixture
def client(server: PvaServer, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """One that has seen the first image, and is stopped."""
    assert server._server is not None
    command = [sys.executable, "-c", CLIENT, json.dumps(server._server.conf()), request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "update\n"
        os.kill(process.pid, signal.SIGSTOP)
        yield process
        process.kill()


def post(images: PvaImages, server: PvaServer, n: int) -> Iterator[int]:
    """Values in pvxs after each image."""
    for _ in range(n):
        images.post("Image", IMAGE)
        server.make_room()
        yield listRefs()["StructTop"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tables of connections are those of Linux")
@pytest.mark.parametrize("client", [LONG], indirect=True)
def test_images_for_a_client_that_takes_none_are_let_go(
    images: PvaImages, server: PvaServer, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before, end_s = listRefs()["StructTop"], time.monotonic() + HANG_S
    most = max(post(images, server, 100))
    assert most - before > 100, "they are kept, as long as nothing is done about it"
    while "asked for a long queue" not in caplog.text:
        assert time.monotonic() < end_s
        list(post(images, server, 10))
        time.sleep(0.1)
    while listRefs()["StructTop"] - before > 50:  # connections are closed by threads of pvxs
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.mark.parametrize("client", [USUAL], indirect=True)
def test_client_that_stands_still_with_the_usual_queue_costs_nobody_the_connection(
    images: PvaImages, server: PvaServer, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(30):
        list(post(images, server, 10))
        time.sleep(0.03)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("stream_service")]
    assert told == [], "what other libraries say of earlier tests is none of ours"
