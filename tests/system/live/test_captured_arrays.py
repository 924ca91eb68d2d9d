"""A waveform that grows while its hardware captures, over Channel Access: a run hears what is in it, and no more."""

from __future__ import annotations

import threading
from pathlib import Path

from limits import HANG_S
from p4p.client.thread import Context

from stream_service.channel_access.library import PV, attach_thread
from stream_service.core.pairing.readback import Entries
from stream_service.processes.subprocesses import Subprocess
from stream_service.sources.live.ca_readbacks import CaReadbacks, Follow, ReadbackStream
from stream_service.testing.loopback import LoopbackEpics, process_environment

MOST = 2000
SERVER = f"""
import asyncio, sys
from caproto import ChannelDouble, ChannelInteger
from caproto.asyncio.server import start_server
captured = ChannelDouble(value=[7.0, 8.0, 9.0], max_length={MOST})
class Capture(ChannelInteger):
    async def write(self, value, *words, **options):
        n = int(value[0] if hasattr(value, "__len__") else value)
        await captured.write([0.5 * k for k in range(n)])
        return await super().write(n, *words, **options)
async def ready(_):
    print("ready", flush=True)
names = {{"ARRAY:Captured": captured, "ARRAY:Capture": Capture(value=0)}}
asyncio.run(start_server(names, startup_hook=ready))
"""


def next_entries(stream: ReadbackStream, woken: threading.Event) -> list[Entries]:
    """What comes next, within a limit."""
    assert woken.wait(HANG_S)
    woken.clear()
    return [event for event in stream.take() if isinstance(event, Entries)]


def test_run_hears_the_elements_that_were_captured_and_knows_which_are_old(
    epics: LoopbackEpics, tmp_path: Path
) -> None:
    environment = process_environment(epics.server_environment("service"))
    with Subprocess("arrays", ["-c", SERVER], environment, tmp_path / "arrays.log") as server:
        server.wait_for("ready", HANG_S)
        attach_thread()
        readbacks, woken = CaReadbacks({"x": Follow("ARRAY:Captured", is_array=True)}), threading.Event()
        try:
            readbacks.connect()
            stream = readbacks.stream(woken.set)
            stream.start()
            (old,) = (event for event in stream.take() if isinstance(event, Entries))
            assert (old.values.tolist(), old.is_from_before) == ([7.0, 8.0, 9.0], True)
            capture = PV("ARRAY:Capture")
            assert capture.wait_for_connection(HANG_S)
            for n in (1, 2, MOST):
                capture.put(n)
                heard = next_entries(stream, woken)
                assert [len(one.values) for one in heard] == [n] and not heard[0].is_from_before
                assert heard[0].values[-1] == 0.5 * (n - 1)
            assert readbacks.n_entries("x") == MOST
        finally:
            readbacks.close()


PVA_SERVER = """
import threading
from p4p.nt import NTScalar
from p4p.server import Server
from p4p.server.thread import SharedPV
captured = SharedPV(nt=NTScalar("ad"), initial=[7.0, 8.0])
capture = SharedPV(nt=NTScalar("i"), initial=0)
@capture.put
def put(pv, operation):
    n = int(operation.value())
    captured.post([0.5 * k for k in range(n)])
    pv.post(n)
    operation.done()
with Server(providers=[{"ARRAY:Captured": captured, "ARRAY:Capture": capture}]):
    print("ready", flush=True)
    threading.Event().wait()
"""


def test_array_over_pva_is_heard_too(epics: LoopbackEpics, tmp_path: Path) -> None:
    environment = process_environment(epics.server_environment("service"))
    with Subprocess("arrays", ["-c", PVA_SERVER], environment, tmp_path / "arrays.log") as server:
        server.wait_for("ready", HANG_S)
        attach_thread()
        woken = threading.Event()
        readbacks = CaReadbacks({"x": Follow("pva://ARRAY:Captured", is_array=True)})
        try:
            readbacks.connect()
            stream = readbacks.stream(woken.set)
            stream.start()
            (old,) = (event for event in stream.take() if isinstance(event, Entries))
            assert (old.values.tolist(), old.is_from_before) == ([7.0, 8.0], True)
            with Context("pva") as context:
                for n in (1, MOST):
                    context.put("ARRAY:Capture", n, timeout=HANG_S)
                    (heard,) = next_entries(stream, woken)
                    assert (len(heard.values), heard.values[-1], heard.is_from_before) == (n, 0.5 * (n - 1), False)
        finally:
            readbacks.close()
