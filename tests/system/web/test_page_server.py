"""Who gets what from the web server: no browser and no service is needed to ask it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from limits import HANG_S
from page_server import PageServer, page_server

from stream_service.processes.subprocesses import Subprocess, SubprocessError
from stream_service.settings.beamlines import profile_path
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, free_port, process_environment

TOKEN = "a-token-that-nobody-guesses"
REPORT = "<!DOCTYPE html><title>report of scan1</title>"


def profile_in(folder: Path) -> Path:
    document = yaml.safe_load(profile_path("sim").read_text(encoding="utf-8"))
    root = folder / "root"
    (root / "day 1").mkdir(parents=True)
    (root / "day 1" / "scan1_report.html").write_text(REPORT)
    (root / "secret.html").write_text("not a report")
    (folder / "other_report.html").write_text("a report outside of the data root")
    (root / "led_out_report.html").symlink_to(folder / "other_report.html")
    document["service"] |= {"prefix": f"{folder.name}:", "data_root": str(root)}
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return profile_in(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def server(profile: Path, epics: LoopbackEpics) -> Iterator[PageServer]:
    with page_server(profile, epics) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(profile: Path, epics: LoopbackEpics) -> Iterator[PageServer]:
    token_file = profile.with_name("token")
    token_file.write_text(TOKEN + "\n")
    token_file.chmod(0o600)
    with page_server(profile, epics, "--token-file", str(token_file)) as running:
        yield running


def test_page_asks_nobody_but_its_own_server(server: PageServer) -> None:
    status, headers, page = server.ask("/")
    assert status == 200 and "default-src 'self'" in headers["Content-Security-Policy"]
    assert "https://" not in page, "the page names another server"


@pytest.mark.parametrize("path", ["/", "/alive", "/report/day%201/scan1_report.html", "/static/js/bokeh.min.js", "/no"])
def test_without_its_token_nothing_is_given(guarded: PageServer, path: str) -> None:
    wrong = f"ptychostream_{guarded.port}=wrong"
    for status, _, text in (
        guarded.ask(path),
        guarded.ask(f"{path}?token=wrong"),
        guarded.ask(path, Cookie=wrong),
        guarded.ask(path, Cookie=f"ptychostream_{guarded.port}="),
        guarded.ask(path, Authorization=f"Bearer {TOKEN}x"),
    ):
        assert status == 403 and "needs its token" in text


def websocket(origin: str) -> dict[str, str]:
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Protocol": "bokeh, nothing",
        "Origin": origin,
    }


def test_websocket_is_behind_the_same_door(server: PageServer, guarded: PageServer) -> None:
    assert guarded.ask("/ws", **websocket(guarded.url.rstrip("/")))[0] == 403
    assert server.ask("/ws", **websocket("http://elsewhere.example"))[0] == 403


def websocket_frame(text: bytes) -> bytes:
    """Masked, as a client sends it."""
    return b"\x81\xff" + len(text).to_bytes(8, "big") + bytes(4) + text


def test_viewer_that_floods_the_websocket_fills_no_log(server: PageServer) -> None:
    _, _, page = server.ask("/")
    (token,) = re.findall(r'"token":"([^"]+)"', page)
    fields = websocket(server.url.rstrip("/")) | {"Sec_WebSocket_Protocol": f"bokeh, {token}"}
    request = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    before = len(server.child.log.read_text())
    with socket.create_connection((LOOPBACK, server.port), HANG_S) as viewer:
        viewer.sendall(f"GET /ws HTTP/1.1\r\nHost: {LOOPBACK}:{server.port}\r\n{request}\r\n".encode())
        assert b"101 " in viewer.recv(4096)
        header = json.dumps({"msgid": "1", "msgtype": "PATCH-DOC"}).encode()
        patch = json.dumps({"no events": "\x1b[2J" + "x" * 500_000}).encode()
        with suppress(ConnectionError):  # it may be put out
            for part in (header, b"{}", patch, *[b"no message"] * 2000, b"x" * (2 << 20)):
                viewer.sendall(websocket_frame(part))
            while viewer.recv(65_536):
                pass
    assert server.ask("/alive")[0] == 200
    log = server.child.log.read_text()[before:]
    assert len(log) < 100_000
    assert all(re.match(r"\d{4}-\d\d-\d\d .* (WARNING|ERROR) ", line) for line in log.splitlines())


def test_link_with_the_token_leaves_it_in_a_cookie(guarded: PageServer) -> None:
    status, headers, _ = guarded.ask(f"/?token={TOKEN}")
    assert status == 302 and headers["Location"] == "/"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert guarded.ask("/", Cookie=cookie.partition(";")[0])[0] == 200
    assert guarded.ask(f"//elsewhere.example/?token={TOKEN}")[1]["Location"].startswith("/elsewhere")


def test_token_that_is_in_a_file_is_not_printed(guarded: PageServer) -> None:
    assert TOKEN not in guarded.ready_line


def test_token_in_a_link_is_in_no_log(guarded: PageServer) -> None:
    for method in ("GET", "HEAD", "POST"):
        for path in ("/", "/autoload.js", "/no"):
            guarded.ask(f"{path}?a=1&token={TOKEN}", method)
            guarded.ask(f"{path}?token={TOKEN}", method, Origin="http://elsewhere.example")
    guarded.ask(f"/autoload.js?to%6ben={TOKEN}")
    log = guarded.child.log.read_text()
    assert "WARNING 40" in log, "refusals are logged"
    assert TOKEN not in log


def test_address_that_others_reach_gets_a_token(profile: Path, epics: LoopbackEpics) -> None:
    with page_server(profile, epics, "--address", "0.0.0.0") as running:
        assert running.ask("/")[0] == 403
        link = running.ready_line.split()[-1]
        assert running.ask("/?" + link.partition("?")[2])[0] == 302


def test_another_name_for_this_machine_gets_nothing(server: PageServer) -> None:
    status, _, text = server.ask("/", Host="elsewhere.example")
    assert status == 403 and "elsewhere.example" in text
    assert server.ask("/", Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.further
def test_name_of_a_reverse_proxy_is_known(profile: Path, epics: LoopbackEpics) -> None:
    with page_server(profile, epics, "--name", "wall.example") as running:
        assert running.ask("/alive", Host="wall.example")[0] == 200
        assert running.ask("/alive", Host="other.example")[0] == 403


def test_nothing_can_be_put(server: PageServer) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert server.ask("/", method)[0] == 405


def test_report_below_the_data_root_is_shown_in_a_box_of_its_own(server: PageServer) -> None:
    status, headers, text = server.ask("/report/day%201/scan1_report.html")
    assert (status, text) == (200, REPORT)
    assert (
        "sandbox" in headers["Content-Security-Policy"] and "default-src 'none'" in headers["Content-Security-Policy"]
    )


@pytest.mark.parametrize(
    "path",
    [
        "secret.html",
        "../other_report.html",
        "%2e%2e/other_report.html",
        "..%2fother_report.html",
        "day%201/../../other_report.html",
        "/etc/hostname",
        "led_out_report.html",
        "day%201",
        "day%201/scan1_report.html%00",
        "no_report.html",
        "",
    ],
)
def test_nothing_but_reports_below_the_data_root_is_given(server: PageServer, path: str) -> None:
    status, _, text = server.ask(f"/report/{path}")
    assert status == 404 and "report outside" not in text and "not a report" not in text


def refused(profile: Path, epics: LoopbackEpics, *options: str) -> str:
    """What is said instead of `ready`."""
    command = ["-m", "stream_service.cli", "web", str(profile), *options]
    environment = process_environment(epics.client_environment())
    log = profile.parent / f"refused{free_port()}.log"
    with Subprocess("web", command, environment, log) as child, pytest.raises(SubprocessError, match="exit code 2"):
        child.wait_for("ready", HANG_S)
    return log.read_text()


@pytest.mark.further
def test_server_that_cannot_be_says_why(server: PageServer, profile: Path, epics: LoopbackEpics) -> None:
    assert "give another --port" in refused(profile, epics, "--port", str(server.port))
    open_file = profile.with_name("open_token")
    open_file.write_text(TOKEN)
    open_file.chmod(0o644)
    assert "chmod 600" in refused(profile, epics, "--token-file", str(open_file))
