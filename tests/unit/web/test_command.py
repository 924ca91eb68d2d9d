"""The command where the page cannot be."""

from __future__ import annotations

import sys

import pytest

from stream_service.cli.beamline.web import web
from stream_service.errors import ConfigError


def test_base_install_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(ConfigError, match=r"pip install 'ptychostream\[web\]'"):
        web("sim")
