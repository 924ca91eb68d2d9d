"""`ptychostream web`: a page that shows how the scan is going."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stream_service.cli.options import ProfileArgument
from stream_service.errors import ConfigError
from stream_service.text.log_lines import log_to_stderr

EPILOG = "Example: ptychostream web xml_layouts/sim/profile.yaml"


def web(
    profile: ProfileArgument,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 8080,
    address: Annotated[
        str, typer.Option(help="Address of this machine at which it is served; any but loopback needs a token.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with the token; one is made if it is needed.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Name under which a reverse proxy serves the page.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Serve a page that shows the run as it goes: state, ledger, maps, frames, verdicts. It only reads."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise ConfigError("the web page needs Bokeh, which is not installed: pip install 'ptychostream[web]'") from None
    log_to_stderr(verbose=verbose)
    os.environ["BOKEH_RESOURCES"] = "server"  # a control room has no internet
    from stream_service.settings.beamlines import find_profile
    from stream_service.settings.profile_file import load_profile
    from stream_service.web.access import access_for
    from stream_service.web.server import WebServer

    settings = load_profile(find_profile(profile))
    access = access_for(address, token_file, name or ())
    server = WebServer(settings, address, port, access)
    query = f"?token={access.token}" if access.token and token_file is None else ""
    host = f"[{address}]" if ":" in address else address
    server.run(lambda: print(f"ptychostream web ready: http://{host}:{port}/{query}", flush=True))
