"""Picture of the page during a simulated scan, for the docs: `python tests/system/take_web_picture.py FILE.png`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright

from stream_service.processes.subprocesses import Subprocess
from stream_service.settings.beamlines import profile_path
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, free_port, process_environment

READY_S = 120.0
N_POINTS = 500
SHARE = 0.6
"""Of the scan that is done on the picture."""
PARTS = ("--drop", "0.01", "--fault-share", "0.01", "--healthy")


def take(picture: Path, folder: Path) -> None:
    """Run a scan, and take the picture when most of it is done."""
    network = LoopbackEpics.reserve(["ioc", "service"])

    def start(name: str, server: str, *words: str) -> Subprocess:
        variables = network.server_environment(server) if server else network.client_environment()
        return Subprocess(name, ["-m", *words], process_environment(variables), folder / f"{name}.log")

    references, profile, port = str(folder / "references.npz"), folder / "profile.yaml", free_port()
    document = yaml.safe_load(profile_path("sim").read_text(encoding="utf-8"))
    document["service"]["data_root"] = str(folder)
    document["references"] = {"dark": references, "flat": references, "mask": references}
    profile.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = "stream_service.cli"
    with (
        start("ioc", "ioc", "iocsim", "--references", references, *PARTS) as ioc,
        start("service", "service", command, "run", str(profile)) as service,
        start("web", "", command, "web", str(profile), "--port", str(port)) as web,
    ):
        for child in (ioc, service, web):
            child.wait_for("ready", READY_S)
        scan = ["--scan-id", "scan_0042", "--raw-dir", str(folder), "--points", str(N_POINTS), "--step-um", "0.5"]
        with (
            start("plan", "", "ptychostream_plans.scan", *scan, "--exposure-s", "0.03"),
            sync_playwright() as playwright,
        ):
            chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": 1920, "height": 1080})
            page.set_default_timeout(1e3 * READY_S)
            page.goto(f"http://{LOOPBACK}:{port}/")
            page.locator(".tile[data-label=expected] .value", has_text=str(N_POINTS)).wait_for()
            while (share := page.locator(".percent").inner_text().split()[0]).isdigit() and float(share) < 100 * SHARE:
                page.wait_for_timeout(500)
            box = page.locator(".square .plot").first.bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + 0.45 * box["width"], box["y"] + 0.45 * box["height"])
            page.locator("#chosen .big").wait_for()
            page.mouse.move(5, 5)
            page.wait_for_timeout(2000)
            page.screenshot(path=picture)
            chromium.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        take(Path(sys.argv[1]).absolute(), Path(made))
