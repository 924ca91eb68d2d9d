"""Compilation of the kernels of the evaluation: nogil, and kept on disk as that of the pixel kernel.

The cache notices changes of a kernel's own file only: kernels that call each other stand in one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, once it is called."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(**options)(function)
