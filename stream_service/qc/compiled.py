"""Compilation of the kernels of the evaluation, see `kernels/machine_code.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_service.core import reason
from stream_service.kernels import machine_code


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, once it is called."""
    return machine_code.compiled(reason)(function)
