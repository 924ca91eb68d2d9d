"""Everything that looks at a service at once: `python faces.py PROFILE PAGE_PORT METRICS_URL`, until it is ended.

Monitors of every PV over CA and PVA, of the images and the tables, as the screens have them; a scrape of the metrics
every second; `status --watch`; and the web page in a headless browser, where there is one. Prints `looking` once all
are open, and then, on each line that comes in, one line of JSON: what they have seen.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from stream_service.channel_access.library import PV
from stream_service.pv_access import Context
from stream_service.settings.beamlines import find_profile
from stream_service.settings.profile_file import load_profile
from stream_service.settings.status_table import STATUS, ServiceImage, ServiceTable

SCRAPE_S = 1.0
BROWSER = "chromium"


@contextmanager
def screens(prefix: str, seen: Counter[str]) -> Iterator[None]:
    """Monitors of all that the screens show, over both protocols."""

    def count(kind: str) -> None:
        seen[kind] += 1

    channels = [PV(prefix + pv, auto_monitor=True, callback=lambda **_: count("CA updates")) for pv in STATUS]
    context = Context("pva")
    names = [*STATUS, *ServiceImage, *ServiceTable]
    monitors = [context.monitor(prefix + name, lambda _: count("PVA updates")) for name in names]
    for channel in channels:
        channel.wait_for_connection(20)
    try:
        yield
    finally:
        for monitor in monitors:
            monitor.close()
        context.close()


@contextmanager
def scrapes(url: str, seen: Counter[str]) -> Iterator[None]:
    """The metrics, again and again."""
    is_over = threading.Event()

    def scrape() -> None:
        while not is_over.wait(SCRAPE_S):
            with urllib.request.urlopen(url, timeout=10) as answer:
                seen["bytes of metrics"] += len(answer.read())

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(10)


@contextmanager
def terminal(prefix: str) -> Iterator[None]:
    """`status --watch`, as over ssh."""
    command = [sys.executable, "-m", "stream_service.cli", "status", "--prefix", prefix, "--watch"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def page(url: str) -> Iterator[Any]:
    """The web page in a browser; None where there is no browser."""
    program = shutil.which(BROWSER)
    if program is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(url)
        yield opened
        browser.close()


def main(profile: str, page_port: str, metrics_url: str) -> None:
    """Look until standard input ends."""
    prefix = load_profile(find_profile(profile)).service.prefix
    seen: Counter[str] = Counter()
    command = [sys.executable, "-m", "stream_service.cli", "web", profile, "--port", page_port]
    web = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert web.stdout is not None
    web.stdout.readline()
    with ExitStack() as faces:
        faces.callback(web.kill)
        faces.enter_context(screens(prefix, seen))
        faces.enter_context(scrapes(metrics_url, seen) if metrics_url else nullcontext())
        faces.enter_context(terminal(prefix))
        opened = faces.enter_context(page(f"http://127.0.0.1:{page_port}/"))
        time.sleep(2.0)
        print("looking", flush=True)
        for _ in sys.stdin:
            words = opened.inner_text("body") if opened is not None else "no browser here"
            print(json.dumps(dict(seen) | {"page": " ".join(words.split())[:2000]}), flush=True)
    os._exit(0)  # threads of CA and PVA clients need not be waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
