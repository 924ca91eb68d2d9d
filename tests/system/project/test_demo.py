"""The main job, as a user meets it: `ptychostream demo`, against the simulator's own record of what it did."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from chromium import browser
from demonstration import Demonstration, finish_demo, processes_mentioning, run_demo, start_demo
from limits import HANG_S
from p4p.client.thread import Context

from stream_service.standard_file.rules.validate import validate_file

FOLLOWER = Path(__file__).with_name("follower.py")
N = 60
GAIN = 4  # of the sim profile: files have photons


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demonstration, subprocess.CompletedProcess[str]]:
    """One demo, and a second process that read its file while it grew."""
    folder = tmp_path_factory.mktemp("demo")
    follower = subprocess.Popen(
        [sys.executable, str(FOLLOWER), str(folder / "demo_std.h5")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None and follower.stdout.readline() == "waiting\n"
    demo = start_demo(folder, "--points", str(N))
    outcome = finish_demo(demo, folder)
    out, err = follower.communicate()
    return outcome, subprocess.CompletedProcess([], follower.returncode, out, err)


def test_demo_stores_every_frame_and_says_complete(followed) -> None:
    demo, _ = followed
    assert demo.exit_code == 0, demo.output
    assert "COMPLETE" in demo.output and f"{N} of {N} frames stored in {N} rows" in demo.output
    assert demo.text("/entry/run/state") == "COMPLETE"
    assert demo.ledger() | {"expected": N, "stored": N} == demo.ledger()
    assert {path.name for path in demo.folder.iterdir()} >= {
        "demo_std.h5",
        "demo_raw.h5",
        "demo_truth.npz",
        "demo.png",
        "demo_report.html",
    }


def test_service_has_named_the_report_before_the_demo_ends(followed) -> None:
    demo, _ = followed
    assert re.search(rf"│ report +│ {re.escape(str(demo.folder / 'demo_report.html'))} +│", demo.output), demo.output


@pytest.mark.parametrize("width", [1280, 390])
def test_report_opens_in_a_browser_without_a_request(followed, tmp_path: Path, width: int) -> None:
    demo, _ = followed
    address, asked, complaints = (demo.folder / "demo_report.html").as_uri(), [], []
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(address)
        assert [url for url in asked if not url.startswith("data:")] == [address]
        assert complaints == []
        assert f"COMPLETE: {N} of {N} frames in {N} rows" in page.inner_text(".headline")
        pictures = page.evaluate("[...document.images].map(each => each.complete && each.naturalWidth > 0)")
        assert len(pictures) > 20 and all(pictures)
        assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing to be pushed aside
        page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert (tmp_path / "report.png").stat().st_size > 50_000


def test_demo_file_has_no_finding(followed) -> None:
    demo, _ = followed
    assert [f for f in validate_file(demo.standard) if f.level == "error"] == []


def test_each_row_has_the_position_of_its_own_exposure(followed) -> None:
    demo, _ = followed
    truth = demo.truth()
    row_of = {int(uid): row for row, uid in enumerate(demo.column("/entry/frames/unique_id")[:, 0])}
    pos = demo.column("/entry/pos")
    for uid, x_m, y_m in zip(truth["unique_id"], truth["x_m"], truth["y_m"], strict=True):
        assert pos[row_of[int(uid)]] == pytest.approx((x_m, y_m), abs=1e-12)
    assert not demo.column("/entry/frames/flags").any()


def test_each_row_is_the_raw_frame_of_its_id_corrected(followed) -> None:
    demo, _ = followed
    with h5py.File(demo.folder / "demo_raw.h5") as file:
        raw = file["/entry/data/data"][()]
        raw_ids = file["/entry/instrument/NDAttributes/NDArrayUniqueId"][()]
    with np.load(demo.folder / "demo_references.npz") as references:
        dark, flat, mask = (references[name].astype(np.float32) for name in ("dark", "flat", "mask"))
    good = mask == 0
    response = (flat - dark) / (flat - dark)[good].mean(dtype=np.float64)
    data = demo.column("/entry/data")
    of_id = dict(zip(raw_ids.tolist(), raw, strict=True))
    for row, uid in enumerate(demo.column("/entry/frames/unique_id")[:, 0]):
        expected = np.maximum((of_id[int(uid)] - dark) / response, 0) / GAIN
        np.testing.assert_allclose(data[row][good], expected[good], rtol=1e-5, atol=1e-3)


def test_second_process_saw_only_complete_rows_while_the_file_grew(followed) -> None:
    _, follower = followed
    assert follower.returncode == 0, follower.stderr
    seen = [int(line.split()[1]) for line in follower.stdout.splitlines() if line.startswith("rows")]
    assert seen[-1] == N
    assert len(set(seen)) > 3, f"the reader saw the file grow in too few steps: {seen}"


@pytest.mark.further
def test_lost_frames_are_fetched_from_the_raw_file_and_nothing_else_is_wrong(tmp_path: Path) -> None:
    n, options = N, ["--drop", "0.05", "--drop-ids", f"1,{N}", "--duplicate", "0.02", "--duplicate-ids", "5"]
    demo = run_demo(tmp_path, "--points", str(n), "--", *options)
    truth = demo.truth()
    sent = dict(zip(truth["unique_id"].tolist(), truth["status"].astype(str).tolist(), strict=True))
    dropped = {uid for uid, what in sent.items() if what == "dropped"}
    assert {1, N} <= dropped and len(dropped) > 2
    assert demo.exit_code == 0 and demo.text("/entry/run/state") == "COMPLETE", demo.output

    status = demo.column("/entry/ledger/status")
    fetched = set(demo.column("/entry/ledger/unique_id")[status == 2].tolist())
    assert fetched == dropped
    ledger = demo.ledger()
    assert ledger["expected"] == n and ledger["stored"] == n - len(dropped) and ledger["backfilled"] == len(dropped)
    assert ledger["duplicates"] == sum(what == "duplicated" for what in sent.values())

    ids = demo.column("/entry/frames/unique_id")[:, 0].tolist()
    assert sorted(ids) == sorted(sent)
    where = {int(uid): (x, y) for uid, x, y in zip(truth["unique_id"], truth["x_m"], truth["y_m"], strict=True)}
    np.testing.assert_allclose(demo.column("/entry/pos"), [where[uid] for uid in ids], atol=1e-12)


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_interrupted_demo_ends_in_order_and_leaves_nothing_running(tmp_path: Path, how: signal.Signals) -> None:
    process = start_demo(tmp_path, "--points", "2000")
    assert process.stdout is not None
    said = next((line for line in iter(process.stdout.readline, "") if "in another terminal: " in line), "")
    pasted = said.partition("in another terminal: ")[2].replace(
        "ptychostream", f"{sys.executable} -m stream_service.cli"
    )
    elsewhere = {**os.environ, "EPICS_CA_ADDR_LIST": "192.0.2.1", "COLUMNS": "200"}
    shown = subprocess.run(pasted, shell=True, env=elsewhere, capture_output=True, text=True)
    assert shown.returncode == 0 and re.search(r"Health +(READY|BUSY)\b", shown.stdout), (said, shown)
    said = next((line for line in iter(process.stdout.readline, "") if "for a page in a browser: " in line), "")
    environment = dict(re.findall(r"(EPICS_PVA_\w+)=(\S+)", said))
    with Context("pva", conf=environment, useenv=False) as pva:  # as the page finds its service
        assert str(pva.get("PTYCHO:Health", timeout=HANG_S)) in ("READY", "BUSY"), said
    deadline = time.monotonic() + HANG_S
    while not (tmp_path / "demo_std.h5").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(how)
    demo = finish_demo(process, tmp_path)
    assert demo.exit_code == 130, demo.output
    assert processes_mentioning(tmp_path) == []
    assert demo.text("/entry/run/state") == "ABORTED"
    assert [f for f in validate_file(demo.standard) if f.level == "error"] == []
