"""`ptychostream evaluate` called in this process, and what is in its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typer.testing import CliRunner

from stream_service.cli import main as cli

INGEST = ("--exposure-s", "0.1", "--translation", "sample")


def run(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], env={"COLUMNS": "300"})
    if code == 0 or result.exception is None or isinstance(result.exception, SystemExit):
        assert result.exit_code == code, result.output
        return result.output
    assert result.exception.exit_code == code, result.exception  # type: ignore[attr-defined]
    return str(result.exception)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def array(folder: Path, name: str) -> npt.NDArray[Any]:
    return np.load(folder / f"{name}.npy")
