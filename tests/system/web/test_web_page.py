"""The page in a browser, beside a simulated beamline and a daemon: it shows what happens, and says what does not."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from chromium import browser
from limits import HANG_S
from page_server import DESKTOP, PHONE, PageServer, page_server
from rig import Rig, Rigs

from stream_service.settings.status_table import ServiceImage
from stream_service.testing.loopback import LoopbackEpics

HANG_MS = 1e3 * HANG_S
TOLD_S = 5.0
"""By when a service that is lost is told (issue 17)."""
LINE = 12
"""Frames of a line of the scan."""
IMAGE = "name => { const model = Bokeh.documents[0].get_model_by_name(name); %s }"
PIXELS = IMAGE % (
    "const [image] = model.renderers[0].data_source.get_column('image');"
    "return image === undefined ? null : {shape: image.shape, values: Array.from(image)};"
)
PLACE_ON_SCREEN = """([name, x, y]) => {
  const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(name));
  const box = view.el.getBoundingClientRect(), frame = view.frame;
  return [box.x + frame.x_scale.compute(x), box.y + frame.y_scale.compute(y)];
}"""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture(scope="module")
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix)


@pytest.fixture(scope="module")
def server(rig: Rig, epics: LoopbackEpics) -> Iterator[PageServer]:
    with page_server(rig.folder / "profile.yaml", epics) as running:
        yield running
        assert running.child.end() == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def requests() -> list[str]:
    """Where the page has sent requests to."""
    return []


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """What the page's scripts have failed at."""
    return []


@pytest.fixture(scope="module")
def page(chromium: Any, server: PageServer, requests: list[str], errors: list[str]) -> Any:
    page = chromium.new_page(viewport=DESKTOP)
    page.set_default_timeout(HANG_MS)
    page.on("request", lambda request: requests.append(request.url))
    page.on("websocket", lambda socket: requests.append(socket.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    return page


def wait_for_text(page: Any, where: str, text: str) -> None:
    page.locator(where).get_by_text(text, exact=True).wait_for()


def tile(page: Any, label: str) -> str:
    return page.locator(f".tile[data-label='{label}'] .value").inner_text().strip()


def wait_for_tile(page: Any, label: str, value: str) -> None:
    deadline_s = time.monotonic() + HANG_S
    while tile(page, label) != value:
        assert time.monotonic() < deadline_s, f"{label} is {tile(page, label)}"
        page.wait_for_timeout(50)


def image(page: Any, name: str) -> np.ndarray | None:
    found = page.evaluate(PIXELS, name)
    if found is None:
        return None
    return np.array(found["values"], np.float32).reshape(found["shape"])


def wait_for_image(page: Any, name: str, claim: Callable[[np.ndarray], bool]) -> np.ndarray:
    deadline_s = time.monotonic() + HANG_S
    while (found := image(page, name)) is None or not claim(found):
        assert time.monotonic() < deadline_s, f"{name} is {found}"
        page.wait_for_timeout(50)
    return found


def expose_line(rig: Rig, y_um: float) -> None:
    rig.beamline.put("Y", y_um)
    rig.beamline.put("X", 0.0)
    for number in range(LINE):
        rig.beamline.put("X", float(number))
        rig.beamline.acquire(1, exposure_s=0.001)


@pytest.fixture(scope="module")
def scanned(rig: Rig, page: Any) -> Path:
    """File of a scan of two lines, between which the page was looked at."""
    wait_for_text(page, ".word", "IDLE")
    n = 2 * LINE
    assert rig.arm("lines", n_positions=n) == ""
    wait_for_text(page, ".word", "ARMED")
    expose_line(rig, 0.0)
    wait_for_text(page, ".word", "RECEIVING")
    wait_for_tile(page, "stored", str(LINE))
    wait_for_text(page, ".percent", "50 %")  # each PV is an update of its own
    assert tile(page, "expected") == str(n) and tile(page, "lost") == "0"
    first = wait_for_image(page, f"map_{ServiceImage.STXM}", lambda pixels: pixels.size >= LINE)
    expose_line(rig, 1.0)
    assert rig.wait_for_end() == "COMPLETE"
    wait_for_text(page, ".word", "COMPLETE")
    wait_for_tile(page, "stored", str(n))
    for name in (ServiceImage.STXM, ServiceImage.DPC_X, ServiceImage.DPC_Y, ServiceImage.SCORE):
        wait_for_image(page, f"map_{name}", lambda pixels: pixels.size > first.size)
    return rig.folder / "lines_std.h5"


def click_at(page: Any, x_um: float, y_um: float) -> None:
    x, y = page.evaluate(PLACE_ON_SCREEN, [f"map_{ServiceImage.STXM}", x_um, y_um])
    page.mouse.click(x, y)


def test_click_on_a_map_shows_the_frame_that_is_in_the_file(page: Any, scanned: Path) -> None:
    with h5py.File(scanned) as file:
        row = LINE + 3
        x_um, y_um = (1e6 * float(file[f"/entry/pos{axis}_m"][row]) for axis in "xy")
        stored, unique_id = file["/entry/data"][row], int(file["/entry/frames/unique_id"][row, 0])
        score = float(file["/entry/qc/score"][row])
    click_at(page, x_um + 0.1, y_um - 0.1)
    page.get_by_text(f"Row {row} at").wait_for()
    shown = wait_for_image(page, "chosen_frame", lambda pixels: pixels.shape == stored.shape)
    np.testing.assert_array_equal(shown, stored)
    text = page.locator("#chosen .bk-clearfix").inner_text()
    assert f"{x_um:z.3f}, {y_um:z.3f} µm" in text and f"score {score:.2g}" in text
    assert page.locator("[data-fact=uniqueId] td").inner_text() == str(unique_id)
    assert "ring_current" in text and "mA" in text, "its readbacks are not shown"


def test_latest_frame_is_that_of_its_row(page: Any, scanned: Path) -> None:
    row = int(page.locator("#frame_row").inner_text())
    with h5py.File(scanned) as file:
        stored = file["/entry/data"][row]
    wait_for_image(page, "frame", lambda pixels: np.array_equal(pixels, stored))


def test_readbacks_and_past_runs_are_listed(page: Any, rig: Rig, scanned: Path) -> None:
    wait_for_text(page, "main", f"{rig.beamline.prefix}X.RBV")
    page.locator("tr", has_text="lines").get_by_text("COMPLETE").wait_for()
    (rig.folder / "lines_report.html").write_text("<title>a report</title>")
    link = page.locator("tr", has_text="lines").get_by_role("link", name="report")
    link.wait_for()
    assert link.get_attribute("href") == "report/lines_report.html"


def test_series_of_the_rows_is_that_of_the_file(page: Any, scanned: Path) -> None:
    with h5py.File(scanned) as file:
        intensity = file["/entry/qc/features/intensity"][()]
    found: list[float] = []
    deadline_s = time.monotonic() + HANG_S
    while len(found) != len(intensity):
        assert time.monotonic() < deadline_s, found
        page.wait_for_timeout(100)
        series = "return Array.from(model.renderers[0].data_source.get_column('mean'));"
        found = page.evaluate(IMAGE % series, "intensity")
    np.testing.assert_allclose(found, intensity)


def test_file_that_is_gone_is_one_sentence(page: Any, scanned: Path) -> None:
    away = scanned.rename(scanned.with_name("away"))
    try:
        click_at(page, 0.0, 0.0)
        page.locator("#chosen .rejected", has_text="there is no such file").wait_for()
    finally:
        away.rename(scanned)
    click_at(page, -5.0, 0.0)
    page.get_by_text("Row 5 at").wait_for()


def test_page_fits_a_phone(chromium: Any, server: PageServer, scanned: Path) -> None:
    page = chromium.new_page(viewport=PHONE)
    page.set_default_timeout(HANG_MS)
    page.goto(server.url)
    wait_for_text(page, ".word", "COMPLETE")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.close()


def test_service_that_stands_still_is_told_in_time_and_the_page_recovers(page: Any, rig: Rig, scanned: Path) -> None:
    process, told_s = rig.child.process, math.inf
    for _ in range(3):  # a machine with much else to do is late, but not every time
        if told_s < TOLD_S:
            break
        process.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        try:
            wait_for_text(page, ".word", "NO ANSWER")
            told_s = time.monotonic() - stopped_s
        finally:
            process.send_signal(signal.SIGCONT)
        wait_for_text(page, ".word", "COMPLETE")
    assert told_s < TOLD_S


def test_lost_service_is_told_and_the_page_recovers(page: Any, rig: Rig, scanned: Path) -> None:
    rig.kill()
    wait_for_text(page, ".word", "NO ANSWER")
    rig.start_again()
    page.locator(".run:not(.lost)").wait_for()
    wait_for_text(page, ".word", str(rig.service.get("State")))
    assert rig.arm("after", n_positions=1) == ""
    wait_for_text(page, ".word", "ARMED")
    rig.service.put("Abort", 1)
    wait_for_text(page, ".word", "ABORTED")


def test_page_asks_only_its_own_server_and_its_scripts_do_not_fail(
    page: Any, server: PageServer, requests: list[str], errors: list[str]
) -> None:
    own = server.url, server.url.replace("http", "ws", 1), "data:", "blob:"
    assert len(requests) > 3 and [url for url in requests if not url.startswith(own)] == []
    assert errors == []


@pytest.mark.further
def test_page_loads_itself_anew_when_its_server_was_started_again(
    chromium: Any, rig: Rig, epics: LoopbackEpics, scanned: Path
) -> None:
    page = chromium.new_page()
    page.set_default_timeout(HANG_MS)
    with page_server(rig.folder / "profile.yaml", epics) as server:
        page.goto(server.url)
        page.locator(".word").wait_for()
    page.locator("#cut").wait_for(state="visible")
    with page_server(rig.folder / "profile.yaml", epics, "--port", str(server.port)):
        page.locator("#cut").wait_for(state="hidden")
        page.locator(".word").wait_for()
    page.close()


def test_token_opens_the_page_once_and_for_all(chromium: Any, rig: Rig, epics: LoopbackEpics) -> None:
    token_file = rig.folder / "token"
    token_file.write_text("a-token-that-nobody-guesses")
    token_file.chmod(0o600)
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(HANG_MS)
    with page_server(rig.folder / "profile.yaml", epics, "--token-file", str(token_file)) as server:
        answer = page.goto(server.url + "?token=wrong")
        assert answer.status == 403 and "needs its token" in page.inner_text("body")
        page.goto(server.url + "?token=a-token-that-nobody-guesses")
        page.locator(".word").wait_for()
        assert page.url == server.url, "the token stays in the address"
        assert page.evaluate("document.cookie") == "", "scripts can read the token"
    context.close()
