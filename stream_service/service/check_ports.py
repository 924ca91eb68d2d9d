"""Ports that the service listens at: whether they can be had, as far as `check` can tell without holding them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stream_service.errors import ConfigError
from stream_service.publishers.metrics import WHAT_FOR
from stream_service.publishers.scrape_server import listening_socket
from stream_service.publishers.zmq_messages import ZmqMessages
from stream_service.run.live.check_finding import Finding
from stream_service.service.remote import service_host
from stream_service.settings.profile import Profile


def check_ports(profile: Profile) -> Iterator[Finding]:
    """Of metrics and messages, where the profile has them. A service that runs has them itself."""
    service = profile.service
    if port := service.metrics_port:
        address = service.metrics_address
        where = f"port {port} of {address}"
        yield _finding(profile, "metrics", where, lambda: listening_socket(address, port, WHAT_FOR).close())
    if service.messages:
        yield _finding(profile, "messages", service.messages, lambda: ZmqMessages(service.messages).close())


def _finding(profile: Profile, about: str, where: str, take: Callable[[], None]) -> Finding:
    try:
        take()
    except ConfigError as error:
        if "in use" in str(error) and (host := service_host(profile.service.prefix)):
            return Finding("ok", about, f"{where} is in use, as a service with this prefix runs at {host}")
        return Finding("error", about, str(error))
    return Finding("ok", about, f"{where} is free")
