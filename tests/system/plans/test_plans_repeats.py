"""A scan whose beam is dumped for some of its points, which the plan exposes again; and what is told meanwhile."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zmq
from jsonschema import Draft202012Validator
from limits import HANG_S
from p4p.client.thread import Context
from p4p.nt import NTTable
from plan_bench import EXPOSURE_S, PlanBench, make_plan_bench
from rig import Rig, Rigs

from ptychostream_devices import StreamServiceDevice
from ptychostream_plans import fermat_spiral, ptycho_fermat
from ptychostream_plans.repeats import VERDICTS_TIMEOUT_S
from stream_service.publishers.messages import Topic, schema

N_POINTS = 120
DUMP = range(82, 86)
"""uniqueIds of 3 % of the points; with iocsim's seed these lose 65 % of the light and more."""
DUMPED_AGAIN = N_POINTS + 2
"""That of the second repeat: the beam is not back for good."""
STEP_M = 0.2e-6
REPEATS = 20


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], rigs: Rigs, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    faults = f"beam_dump:{DUMP.start}-{DUMP.stop - 1},{DUMPED_AGAIN}"
    ioc = start_ioc("--shape", "64,64", "--fault-ids", faults)
    address = f"ipc://{tmp_path_factory.mktemp('messages')}/all"
    return rigs.beside(ioc.prefix, service={"messages": address})


@pytest.fixture(scope="module")
def bench(rig: Rig) -> PlanBench:
    return make_plan_bench(rig)


@pytest.fixture
def messages(rig: Rig) -> Iterator[zmq.Socket[bytes]]:
    """A subscriber, from before the scan."""
    address = yaml.safe_load((rig.folder / "profile.yaml").read_text())["service"]["messages"]
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.setsockopt_string(zmq.SUBSCRIBE, "")
    socket.setsockopt(zmq.RCVTIMEO, int(1000 * HANG_S))
    socket.connect(address)
    yield socket
    context.destroy(linger=0)


def heard_until_stop(socket: zmq.Socket[bytes]) -> dict[Topic, list[dict[str, Any]]]:
    """All messages of a run, each checked against its schema."""
    heard: dict[Topic, list[dict[str, Any]]] = {topic: [] for topic in Topic}
    while not heard[Topic.RUN_STOP]:
        said, text = socket.recv_multipart()
        topic, message = Topic(said.decode()), json.loads(text)
        Draft202012Validator(schema(topic)).validate(message)
        heard[topic].append(message)
    return heard


def faults_of(rig: Rig) -> dict[int, str]:
    """The truth about each frame, by its uniqueId; it is in no stream."""
    rig.truth()
    with np.load(rig.folder / "truth.npz") as archive:
        return dict(zip(archive["unique_id"].tolist(), archive["fault"].tolist(), strict=True))


def test_a_dump_of_the_beam_leaves_no_position_without_a_good_row(
    bench: PlanBench, messages: zmq.Socket[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    scan_id = bench.scan_id("dumped")
    with caplog.at_level(logging.INFO, "ptychostream_plans"):
        bench.run(
            ptycho_fermat(
                *bench.devices,
                n_points=N_POINTS,
                step_m=STEP_M,
                exposure_s=EXPOSURE_S,
                scan_id=scan_id,
                repeats=REPEATS,
            )
        )
    faults = faults_of(bench.rig)
    heard = heard_until_stop(messages)
    with bench.open(scan_id) as file:
        assert file["/entry/run/state"][()] == b"COMPLETE"
        ids = file["/entry/frames/unique_id"][:, 0]
        planned, replaces = file["/entry/frames/planned"][:], file["/entry/frames/replaces"][:]
        is_kept, pos = file["/entry/keep"][:] == 1, file["/entry/pos"][:]
    is_faulty = np.array([faults[unique_id] != "" for unique_id in ids.tolist()])
    assert ids[is_faulty].tolist() == [*DUMP, DUMPED_AGAIN], "by the truth file"

    assert sorted(planned[is_kept].tolist()) == list(range(N_POINTS)), "every planned position once"
    assert not is_faulty[is_kept].any(), "by a sound row"
    np.testing.assert_allclose(pos[is_kept], fermat_spiral(N_POINTS, STEP_M)[planned[is_kept]], atol=5e-9)
    assert sorted(replaces[replaces >= 0].tolist()) == np.flatnonzero(~is_kept).tolist()
    assert len(DUMP) + 1 <= len(ids) - N_POINTS <= REPEATS
    assert bench.n_points() == len(ids)
    assert any(
        "exposed again, in " in text and text.endswith("every planned position has a row that can be used")
        for text in caplog.messages
    )
    bench.assert_at_rest()

    (start,), (stop,) = heard[Topic.RUN_START], heard[Topic.RUN_STOP]
    assert (start["scan_id"], start["run"]) == (stop["scan_id"], stop["run"]) == (scan_id, 1)
    assert (stop["state"], stop["rows"], stop["lacking"]) == ("COMPLETE", len(ids), 0)
    verdicts = {message["row"]: message for message in heard[Topic.QC_ROW]}
    assert sorted(verdicts) == list(range(len(ids)))
    assert {row for row, verdict in verdicts.items() if verdict["rejected"]} >= set(np.flatnonzero(is_faulty).tolist())
    assert [verdicts[row]["unique_id"] for row in range(len(ids))] == [[unique_id] for unique_id in ids.tolist()]
    assert stop["rejected"] == sum(verdict["rejected"] for verdict in verdicts.values())

    with Context("pva") as context:
        bench.rig.service.wait_until(lambda: len(table_of(context, bench.rig)) == len(ids))
        table = table_of(context, bench.rig)
    assert [line["unique_id"] for line in table] == ids.tolist()
    assert [line["rejected"] for line in table] == [verdicts[row]["rejected"] for row in range(len(ids))]
    assert {line["reason"] for line in table if line["rejected"]} >= {verdicts[DUMP.start - 1]["words"]}


def table_of(context: Context, rig: Rig) -> list[Any]:
    return NTTable.unwrap(context.get(f"{rig.service.prefix}Verdicts", timeout=HANG_S))


def test_a_scan_of_too_few_rows_to_judge_is_not_repeated_and_ends_at_once(
    bench: PlanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = bench.scan_id("few")
    step = {"n_points": 8, "step_m": STEP_M, "exposure_s": EXPOSURE_S}
    waited_s: list[float] = []
    wait = StreamServiceDevice.wait_for_verdicts

    def timed_wait(service: StreamServiceDevice, n_positions: int, timeout_s: float) -> Any:
        began_s, status = time.monotonic(), wait(service, n_positions, timeout_s)
        status.add_callback(lambda _: waited_s.append(time.monotonic() - began_s))
        return status

    monkeypatch.setattr(StreamServiceDevice, "wait_for_verdicts", timed_wait)
    bench.run(ptycho_fermat(*bench.devices, scan_id=scan_id, repeats=2, **step))
    assert max(waited_s) < VERDICTS_TIMEOUT_S, "the plan has waited in vain for verdicts"
    bench.assert_complete(scan_id, 8)
    with pytest.raises(ValueError, match="give the plan the service"):
        bench.run(ptycho_fermat(*bench.devices[:2], repeats=2, **step))


@pytest.mark.further
def test_the_address_of_messages_that_is_taken_ends_the_start_with_a_sentence(rig: Rig, tmp_path: Path) -> None:
    profile = yaml.safe_load((rig.folder / "profile.yaml").read_text())
    with zmq.Context() as context, context.socket(zmq.PUB) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        profile["service"] |= {"messages": f"tcp://127.0.0.1:{port}", "prefix": "OTHER:"}
        (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile))
        ended = subprocess.run(
            [sys.executable, "-m", "stream_service.cli", "run", str(tmp_path / "profile.yaml")],
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=False,
        )
    assert ended.returncode == 2
    assert f"messages cannot be sent at tcp://127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr
