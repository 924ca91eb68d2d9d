"""Who may see the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_service.errors import ConfigError
from stream_service.web.access import Access, access_for, host_name, is_loopback, token_in

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_no_token(address: str) -> None:
    assert is_loopback(address) and not access_for(address, None).needs_token


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.1.2.3", "wall.example", ""])
def test_any_other_address_has_a_token_that_nobody_guesses(address: str) -> None:
    tokens = {access_for(address, None).token for _ in range(3)}
    assert len(tokens) == 3 and min(map(len, tokens)) >= 32


@pytest.mark.parametrize(
    ("host", "name"), [("Wall.Example:80", "wall.example"), ("[::1]:8080", "::1"), ("", ""), ("a@b:1", "b")]
)
def test_host_of_a_request_is_its_name_without_the_port(host: str, name: str) -> None:
    assert host_name(host) == name


def test_page_of_others_cannot_ask_in_a_viewers_browser() -> None:
    access = access_for("127.0.0.1", None)
    assert access.refusal("localhost:8080", "http://localhost:8080", "") == ""
    assert "elsewhere" in access.refusal("localhost:8080", "http://elsewhere:8080", "")
    assert "rebound.example" in access.refusal("rebound.example:8080", None, "")


def test_origin_is_compared_where_a_token_is_needed_too() -> None:
    access = Access(TOKEN)
    assert access.refusal("any.example", None, TOKEN) == ""
    assert access.refusal("any.example", "http://any.example", TOKEN) == ""
    assert access.refusal("any.example", "http://elsewhere.example", TOKEN) != ""
    assert access.refusal("any.example", None, TOKEN[:-1]) != ""
    assert access.refusal("any.example", None, "ü") != ""


def test_no_token_is_never_the_right_one() -> None:
    assert not Access().is_token("")


@pytest.mark.parametrize(
    "text", ["", "short", "two words of a token", "a" * 2000, "äöüäöüäöüäöüäöüäöü", "a" * 20 + "\n" + "b" * 20]
)
def test_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="openssl rand"):
        token_in(path)


def test_token_of_a_file_is_its_line(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    assert token_in(path) == TOKEN
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        token_in(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        token_in(tmp_path / "nothing")


@pytest.mark.parametrize(("host", "origin"), [("[::1", None), ("localhost:8080", "http://["), ("", "http://[")])
def test_what_is_no_name_of_a_host_is_refused(host: str, origin: str | None) -> None:
    assert Access().refusal(host, origin, "")
