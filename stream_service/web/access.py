"""Who may see the page: one decision for every request, whatever it is for.

The page is read-only, so that only reading is to be kept from others. On loopback whoever is on this machine may; a
page that others serve cannot reach it in a viewer's browser, since it would come under another name. Elsewhere a token
is needed, from the link that was handed out and then from a cookie.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stream_service.errors import ConfigError
from stream_service.text.text_file import text_of

SHORTEST_TOKEN = 16
"""Characters."""
LONGEST_TOKEN = 1024
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must have."""

    token: str = ""
    """Empty: none is needed."""
    names: frozenset[str] = LOOPBACK_NAMES
    """Names of this server by which it may be asked, where no token is needed."""

    @property
    def needs_token(self) -> bool:
        """True if only those who have the token get anything."""
        return bool(self.token)

    def is_token(self, given: str) -> bool:
        """Compare in a time that tells nothing."""
        return self.needs_token and hmac.compare_digest(given.encode(), self.token.encode())

    def refusal(self, host: str, origin: str | None, given: str) -> str:
        """Why a request to `host` with the token `given` gets nothing; empty if it may. `origin` is who serves the page
        that asks, where a browser says so."""
        if self.needs_token and not self.is_token(given):
            return "This page needs its token: open the link that was printed when it was started."
        if not self.needs_token and host_name(host) not in self.names:
            return f"This page is not served under the name {host}."
        if origin is not None and place_of(origin) != host.lower():
            return f"This page is not for pages of {origin}."
        return ""


def host_name(host: str) -> str:
    """Of `name:port`, in small letters; empty for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def place_of(origin: str) -> str:
    """`name:port` of `http://name:port`, in small letters; empty for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def is_loopback(address: str) -> bool:
    """True if only this machine can reach an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def access_for(address: str, token_file: Path | None, names: Iterable[str] = ()) -> Access:
    """Who may see a page that is served at an address of this machine.

    `names` are those under which a reverse proxy serves it. An address that others reach needs a token: that in the
    file, or one that is made. Raises `ConfigError` for a file without one.
    """
    if token_file is not None:
        return Access(token_in(token_file))
    if not is_loopback(address):
        return Access(secrets.token_urlsafe(24))
    return Access(names=LOOPBACK_NAMES | {name.lower() for name in names})


def token_in(path: Path) -> str:
    """The one line of a file. Raises `ConfigError` if it is no token, or others may read it."""
    try:
        text, mode = text_of(path).strip(), path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"--token-file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--token-file {path} is not a text") from error
    if mode & 0o077:
        raise ConfigError(f"--token-file {path} may be read by others on this machine: chmod 600 {path}")
    if not SHORTEST_TOKEN <= len(text) <= LONGEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(
            f"--token-file {path} holds no token: write a line of {SHORTEST_TOKEN} letters and digits or more into "
            "it, as 'openssl rand -hex 24' prints"
        )
    return text
