"""`check` says whether the ports of metrics and messages can be had."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from scripted_run import profile_for

from stream_service.service import check_ports as module
from stream_service.service.check_ports import check_ports
from stream_service.settings.profile import Profile
from stream_service.testing.loopback import LOOPBACK, free_port


def profile(folder: Path, port: int) -> Profile:
    document = profile_for(folder).model_dump()
    document["service"] |= {"metrics_port": port, "messages": f"tcp://{LOOPBACK}:{port}"}
    return Profile.model_validate(document)


def test_ports_that_are_free_are_said_so_and_not_held(tmp_path: Path) -> None:
    port = free_port()
    for _ in range(2):
        found = [(one.level, one.about) for one in check_ports(profile(tmp_path, port))]
        assert found == [("ok", "metrics"), ("ok", "messages")]
    assert list(check_ports(profile_for(tmp_path))) == []


@pytest.mark.parametrize(("host", "level"), [("", "error"), ("beamline:5064", "ok")])
def test_port_that_another_program_has_is_an_error_and_one_of_the_service_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, level: str
) -> None:
    monkeypatch.setattr(module, "service_host", lambda prefix: host)
    with socket.create_server((LOOPBACK, 0)) as taken:
        found = list(check_ports(profile(tmp_path, taken.getsockname()[1])))
    assert [one.level for one in found] == [level, level]
    assert all("in use" in one.text and host in one.text for one in found)
